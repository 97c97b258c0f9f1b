/**
 * What stands for TLS on a memory pipe: both ends say hello, and from then on no byte is what it was.
 *
 * It hides nothing and verifies nobody. It shows whether both sides change over at the same byte, keep nothing from
 * before, and let no plaintext through.
 *
 * @since 0.1.0
 */
import { TlsHandshakeError } from "@effect-nbd/core/TlsError"
import type { Connection, ConnectionEnd } from "@effect-nbd/core/Transport"
import { TransportLostError } from "@effect-nbd/core/TransportError"
import { encodeText } from "@effect-nbd/core/wire/Bytes"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

const hello = { client: encodeText("HELLO, SERVER"), server: encodeText("HELLO, CLIENT") } as const

/** Every byte is turned into another one, and back by the same. */
const turned = 0xa5

const turn = (from: Uint8Array, to: Uint8Array): Uint8Array => {
  for (let index = 0; index < from.byteLength; index++) to[index] = (from[index] ?? 0) ^ turned
  return to
}

/**
 * The connection under pretended TLS. The client says hello first. Where it does not come about, the connection is
 * closed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const upgrade = (
  connection: Connection,
  role: "client" | "server"
): Effect.Effect<Connection, TlsHandshakeError | TransportLostError> =>
  Effect.async<Connection, TlsHandshakeError | TransportLostError>((resume) => {
    const { peer } = connection
    const awaited = role === "client" ? hello.server : hello.client
    let at = 0
    const state: Upgraded = { isUp: false, end: undefined }
    connection.receive({
      onBytes: (bytes) => {
        const isHello = at + bytes.byteLength <= awaited.byteLength &&
          bytes.every((byte, index) => byte === awaited[at + index])
        at += bytes.byteLength
        if (!isHello) resume(new TlsHandshakeError({ peer, code: "ERR_SSL_WRONG_VERSION_NUMBER", by: blame[role] }))
        else if (at === awaited.byteLength) {
          if (role === "server") connection.write([hello.server])
          state.isUp = true
          resume(Effect.succeed(under(connection, state)))
          return false
        }
        return isHello
      },
      onEnd: (end) => {
        if (state.isUp) state.end = end
        else resume(lost(peer, end))
      },
      onDrain: () => {}
    })
    if (role === "client") connection.write([hello.client])
  }).pipe(Effect.onExit((exit) => Exit.isFailure(exit) ? Effect.sync(connection.close) : Effect.void))

interface Upgraded {
  isUp: boolean
  /** An end that came before the upgraded connection had a receiver. */
  end: ConnectionEnd | undefined
}

const blame = { client: "Client", server: "Server" } as const

const lost = (peer: string, end: ConnectionEnd): TransportLostError =>
  end._tag === "Broken" && end.error._tag === "NbdTransportLostError"
    ? end.error
    : new TransportLostError({ peer, code: "ECONNRESET" })

const under = (connection: Connection, state: Upgraded): Connection => ({
  peer: connection.peer,
  receive: (receiver) => {
    const { end } = state
    state.end = undefined
    if (end !== undefined) queueMicrotask(() => receiver.onEnd(end))
    let memory = new Uint8Array(0)
    connection.receive({
      onBytes: (bytes) => {
        if (memory.byteLength < bytes.byteLength) memory = new Uint8Array(bytes.byteLength)
        return receiver.onBytes(turn(bytes, memory.subarray(0, bytes.byteLength)))
      },
      onDrain: () => receiver.onDrain(),
      onEnd: (end) => receiver.onEnd(end)
    })
  },
  resume: () => connection.resume(),
  write: (chunks) => connection.write(chunks.map((chunk) => turn(chunk, new Uint8Array(chunk.byteLength)))),
  endWrites: () => connection.endWrites(),
  close: () => connection.close()
})

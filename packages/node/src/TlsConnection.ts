/**
 * A TLS socket whose handshake is over, as a core `Connection`.
 *
 * @since 0.1.0
 * @internal
 */
import { TlsHandshakeError } from "@effect-nbd/core/TlsError"
import type { Connection, ConnectionEnd } from "@effect-nbd/core/Transport"
import type { TLSSocket } from "node:tls"
import * as Delivery from "./Delivery.ts"
import * as OnreadTls from "./OnreadTls.ts"
import * as StreamConnection from "./StreamConnection.ts"
import * as TlsFault from "./TlsFault.ts"

/** A record has 16 KiB at most, and is delivered by itself. */
const receiveBufferBytes = 16_384

/** TLS takes a turn to hand over what a plain socket hands over at once: a few small writes may wait for each other. */
const highWaterMark = 65_536

/**
 * `role` is this side's.
 *
 * @since 0.1.0
 * @category constructors
 */
export const attach = (
  socket: TLSSocket,
  role: "Client" | "Server",
  given: Omit<StreamConnection.Options, "readable" | "writable">
): StreamConnection.Attached => {
  const report = given.explain ?? ((end, report) => report(end))
  let hasSpoken = false
  const push = (bytes: Uint8Array): boolean => {
    hasSpoken = true
    return delivery.push(bytes)
  }
  socket.pause()
  const buffer = new Uint8Array(receiveBufferBytes)
  const isOnread = OnreadTls.readInto(
    socket,
    buffer,
    (length) => push(length === buffer.byteLength ? buffer : buffer.subarray(0, length))
  )
  const delivery = Delivery.make({
    pause: () => {
      // The answer of the callback does it.
      if (!isOnread) socket.pause()
    },
    resume: () => socket.resume()
  })
  const onData = (chunk: Uint8Array): void => {
    push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength))
  }
  // What the peer said right behind its handshake comes as an event in any case.
  socket.on("data", onData)
  const attached = StreamConnection.attach(
    {
      ...given,
      readable: socket,
      writable: socket,
      highWaterMark: Math.max(highWaterMark, socket.writableHighWaterMark),
      explain: (end, tell) => report(hasSpoken || role === "Server" ? end : unaccepted(given.peer, end), tell)
    },
    delivery,
    () => socket.off("data", onData)
  )
  return { ...attached, connection: { ...attached.connection, close: () => drop(socket, attached.connection) } }
}

/** Dropped too, a connection says that it ends, if there is room for that at once: nothing waits for it (C-033). */
const drop = (socket: TLSSocket, { close }: Connection): void => {
  if (socket.writable) socket.end()
  close()
}

/**
 * An end before the first byte. Under TLS 1.3, and with servers that look at certificates late, the client's handshake
 * is over before the server has judged its credentials: this is how it says no.
 */
const unaccepted = (peer: string, end: ConnectionEnd): ConnectionEnd => {
  if (end._tag === "Finished") {
    const code = "ERR_STREAM_PREMATURE_CLOSE"
    return { _tag: "Broken", error: new TlsHandshakeError({ peer, code, by: "Server" }) }
  }
  const { error } = end
  return error._tag === "NbdTransportLostError" && (TlsFault.isByPeer(error.code) || error.code.startsWith("ERR_SSL_"))
    ? { _tag: "Broken", error: TlsFault.handshakeError(peer, "Client", error.cause ?? error) }
    : end
}

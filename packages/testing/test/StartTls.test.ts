/** NBD_OPT_STARTTLS over a memory pipe, whose TLS is make-believe. */
import { FrameReader } from "@effect-nbd/core/framing/FrameReader"
import { encodeText } from "@effect-nbd/core/wire/Bytes"
import { encodeOption, optionCode } from "@effect-nbd/core/wire/NbdOption"
import { type OptionReply, replyType } from "@effect-nbd/core/wire/OptionReply"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import { FakeServer, MemoryPipe } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { connect, filled, RawClient, requestBytes } from "./fixtures/RawClient.ts"

const settings = { credentials: { _tag: "Psk", keyOf: () => Redacted.make(filled(16, 1)) } } as const
const exports = [{ name: "open", size: 4096 }, { name: "closed", size: 8192, tlsOnly: true }]

const ack: OptionReply = { _tag: "Ack" }
const error = (type: number) => [{ _tag: "ErrorReply", type, message: expect.any(String) }]

const greeted = (
  mode: "Allow" | "Require" | undefined,
  test: (client: RawClient, server: FakeServer.FakeServerService) => Effect.Effect<void, unknown, Scope.Scope>,
  config: Partial<FakeServer.FakeServerConfig> = {}
) =>
  Effect.gen(function*() {
    const tls = mode === undefined ? {} : { tls: { mode, settings } }
    const server = yield* FakeServer.make({ exports, ...tls, ...config })
    const client = yield* connect(server)
    yield* client.greet()
    yield* test(client, server)
  })

const names = (replies: ReadonlyArray<OptionReply>): ReadonlyArray<string> =>
  replies.flatMap((reply) => reply._tag === "Server" ? [reply.name] : [])

describe("none (NOTLS)", () => {
  it.scoped("S-043: STARTTLS is refused, and exports that need it do not exist", () =>
    greeted(undefined, (client) =>
      Effect.gen(function*() {
        expect(yield* client.option("STARTTLS")).toEqual(error(replyType.ERR_UNSUP))
        expect(names(yield* client.option("LIST"))).toEqual(["open"])
        expect(yield* client.info("GO", "closed")).toEqual(error(replyType.ERR_UNKNOWN))
        expect((yield* client.info("GO", "open")).at(-1)).toEqual(ack)
      })))
})

describe("allowed (SELECTIVETLS)", () => {
  it.scoped("S-046 S-047 S-050: without TLS, INFO and GO of a TLS-only export are ERR_TLS_REQD, and nothing else is", () =>
    greeted("Allow", (client) =>
      Effect.gen(function*() {
        yield* client.option("STRUCTURED_REPLY")
        expect(names(yield* client.option("LIST"))).toEqual(["open"])
        for (const option of ["INFO", "GO"] as const) {
          expect(yield* client.info(option, "closed", [0, 3])).toEqual(error(replyType.ERR_TLS_REQD))
          expect(yield* client.info(option, "nothing")).toEqual(error(replyType.ERR_UNKNOWN))
        }
        for (const option of ["LIST_META_CONTEXT", "SET_META_CONTEXT"] as const) {
          expect(yield* client.metaContext(option, "closed", "base:allocation")).toEqual(error(replyType.ERR_UNKNOWN))
        }
        expect((yield* client.info("GO", "open")).at(-1)).toEqual(ack)
      })))

  it.scoped("S-046: EXPORT_NAME of a TLS-only export ends the session", () =>
    greeted("Allow", (client, server) =>
      Effect.gen(function*() {
        yield* client.send(encodeOption(optionCode.EXPORT_NAME, encodeText("closed")))
        expect(yield* client.end()).toEqual({ _tag: "Finished", unread: 0 })
        expect(yield* server.ends).toMatchObject([{ ending: { _tag: "ExportRefused", exportName: "closed" } }])
      })))

  it.scoped("S-048: with TLS every export is there, and its session runs under it", () =>
    greeted("Allow", (client, server) =>
      Effect.gen(function*() {
        expect(yield* client.startTls()).toEqual([ack])
        expect(names(yield* client.option("LIST"))).toEqual(["open", "closed"])
        yield* client.option("STRUCTURED_REPLY")
        expect((yield* client.info("GO", "closed")).at(-1)).toEqual(ack)
        const payload = filled(3, 7)
        yield* client.request("WRITE", { payload })
        expect(yield* client.chunks()).toMatchObject([{ type: chunkType.NONE }])
        yield* client.request("READ", { length: 3 })
        expect((yield* client.chunks())[0]?.payload.subarray(8)).toEqual(payload)
        expect((yield* server.options).map(({ encrypted, name }) => [name, encrypted])).toEqual([
          ["NBD_OPT_STARTTLS", false],
          ["NBD_OPT_LIST", true],
          ["NBD_OPT_STRUCTURED_REPLY", true],
          ["NBD_OPT_GO", true]
        ])
        yield* client.request("DISC")
        expect(yield* client.end()).toEqual({ _tag: "Finished", unread: 0 })
        expect(yield* server.violations).toEqual([])
        expect(yield* server.ends).toMatchObject([{ ending: { _tag: "Disconnected" } }])
      })))
})

describe("required (FORCEDTLS)", () => {
  it.scoped("S-044: everything but STARTTLS and ABORT is ERR_TLS_REQD before TLS, unknown options too", () =>
    greeted("Require", (client) =>
      Effect.gen(function*() {
        const options = ["LIST", "STRUCTURED_REPLY", "EXTENDED_HEADERS", "INFO", "GO"] as const
        for (const option of [...options, "LIST_META_CONTEXT", "SET_META_CONTEXT", 99] as const) {
          expect(yield* client.option(option)).toEqual(error(replyType.ERR_TLS_REQD))
          expect(yield* client.option(option, filled(40, 1))).toEqual(error(replyType.ERR_TLS_REQD))
        }
        expect(yield* client.startTls()).toEqual([ack])
        expect((yield* client.info("GO", "open")).at(-1)).toEqual(ack)
      })))

  it.scoped("S-041: the mode stays what it is, whatever went before", () =>
    greeted("Require", (client) =>
      Effect.gen(function*() {
        const required = error(replyType.ERR_TLS_REQD)
        expect(yield* client.info("GO", "open")).toEqual(required)
        expect(yield* client.option("STARTTLS", filled(1, 1))).toEqual(error(replyType.ERR_INVALID))
        expect(yield* client.info("GO", "open")).toEqual(required)
        expect(yield* client.info("GO", "nothing")).toEqual(required)
      })))

  it.scoped("S-044: ABORT is answered before TLS", () =>
    greeted("Require", (client) =>
      Effect.gen(function*() {
        expect(yield* client.option("ABORT")).toEqual([ack])
      })))

  it.scoped("S-044: EXPORT_NAME ends the session", () =>
    greeted("Require", (client, server) =>
      Effect.gen(function*() {
        yield* client.send(encodeOption(optionCode.EXPORT_NAME, encodeText("open")))
        expect(yield* client.end()).toEqual({ _tag: "Finished", unread: 0 })
        expect(yield* server.ends).toMatchObject([{ ending: { _tag: "ExportRefused" } }])
      })))

  it.scoped("oldstyle has no TLS: nothing is served", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ exports, protocol: "oldstyle", tls: { mode: "Require", settings } })
      const client = yield* connect(server)
      expect(yield* client.end()).toEqual({ _tag: "Finished", unread: 0 })
    }))
})

describe("the upgrade", () => {
  it.scoped("S-045 S-048: a second STARTTLS is ERR_INVALID", () =>
    greeted("Require", (client, server) =>
      Effect.gen(function*() {
        yield* client.startTls()
        expect(yield* client.option("STARTTLS")).toEqual(error(replyType.ERR_INVALID))
        expect(yield* server.violations).toMatchObject([{ rule: "C-068, S-045", fatal: false }])
        expect((yield* client.info("GO", "open")).at(-1)).toEqual(ack)
      })))

  it.scoped("S-026: STARTTLS with data is ERR_INVALID, and no TLS follows", () =>
    greeted("Allow", (client) =>
      Effect.gen(function*() {
        expect(yield* client.option("STARTTLS", filled(4, 1))).toEqual(error(replyType.ERR_INVALID))
        expect(yield* client.startTls()).toEqual([ack])
        expect(yield* client.option("ABORT")).toEqual([ack])
      })))

  it.scoped("S-027: structured replies from before it are forgotten", () =>
    greeted("Allow", (client) =>
      Effect.gen(function*() {
        yield* client.option("STRUCTURED_REPLY")
        yield* client.metaContext("SET_META_CONTEXT", "open", "base:allocation")
        yield* client.startTls()
        expect(yield* client.metaContext("SET_META_CONTEXT", "open", "base:allocation")).toEqual(
          error(replyType.ERR_INVALID)
        )
        yield* client.info("GO", "open")
        yield* client.request("FLUSH")
        expect(yield* client.simple()).toMatchObject({ error: 0 })
      })))

  it.scoped("S-027: extended headers and meta contexts from before it are forgotten", () =>
    greeted("Allow", (client) =>
      Effect.gen(function*() {
        yield* client.option("EXTENDED_HEADERS")
        yield* client.metaContext("SET_META_CONTEXT", "open", "base:allocation")
        yield* client.startTls()
        yield* client.option("STRUCTURED_REPLY")
        yield* client.info("GO", "open")
        yield* client.request("BLOCK_STATUS", { length: 512 })
        expect(yield* client.chunks()).toMatchObject([{ type: chunkType.ERROR }])
      })))

  it.scoped("S-049: plaintext right after STARTTLS is an injection: the session ends", () =>
    greeted("Allow", (client, server) =>
      Effect.gen(function*() {
        const starttls = encodeOption(optionCode.STARTTLS, new Uint8Array(0))
        const injected = encodeOption(optionCode.STRUCTURED_REPLY, new Uint8Array(0))
        yield* client.send(Uint8Array.from([...starttls, ...injected]))
        expect((yield* client.end())._tag).toBe("Finished")
        expect(yield* server.violations).toMatchObject([{ rule: "C-070, S-049", fatal: true }])
      }), { delivery: MemoryPipe.whole }))

  const instead: ReadonlyArray<readonly [string, Uint8Array]> = [
    ["an option", encodeOption(optionCode.LIST, new Uint8Array(0))],
    ["a request", requestBytes("FLUSH", {})],
    ["one byte", filled(1, 0)]
  ]
  it.scoped.each(instead)(
    "S-049: plaintext instead of TLS, %s, ends the session",
    ([, plaintext]) =>
      greeted("Allow", (client, server) =>
        Effect.gen(function*() {
          expect(yield* client.option("STARTTLS")).toEqual([ack])
          yield* client.send(plaintext)
          expect(["Finished", "Broken"]).toContain((yield* client.end())._tag)
          yield* server.awaitSessions(0)
          expect(yield* server.ends).toMatchObject([{
            ending: { _tag: "TlsFailed", error: { _tag: "NbdTlsHandshakeError", by: "Server" } }
          }])
        }))
  )

  it.scoped("S-049: a client that leaves instead of beginning TLS is let go", () =>
    greeted("Allow", (client, server) =>
      Effect.gen(function*() {
        expect(yield* client.option("STARTTLS")).toEqual([ack])
        client.reader.connection.close()
        yield* server.awaitSessions(0)
        expect(yield* server.ends).toMatchObject([{
          ending: { _tag: "TlsFailed", error: { _tag: "NbdTransportLostError" } }
        }])
      })))

  it.scoped("a client that keeps silent instead can be killed", () =>
    greeted("Require", (client, server) =>
      Effect.gen(function*() {
        expect(yield* client.option("STARTTLS")).toEqual([ack])
        yield* server.killAll
        yield* server.awaitSessions(0)
        expect(yield* client.end()).toMatchObject({ unread: 0 })
        expect(yield* server.ends).toMatchObject([{ ending: { _tag: "Killed" } }])
      })))

  it.scoped("a connection that cannot be encrypted: ERR_PLATFORM", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ exports, tls: { mode: "Allow", settings } })
      const pipe = MemoryPipe.make()
      const session = yield* Effect.fork(server.serve({ ...pipe.server, acceptTls: undefined }))
      const client = new RawClient(new FrameReader(pipe.client))
      yield* client.greet()
      expect(yield* client.option("STARTTLS")).toEqual(error(replyType.ERR_PLATFORM))
      expect(yield* client.option("ABORT")).toEqual([ack])
      client.reader.connection.close()
      yield* Fiber.join(session)
    }))

  it.scoped.each(
    [["bytes", MemoryPipe.bytes], ["coalesced", MemoryPipe.coalesced], ["random", MemoryPipe.random(3)]] as const
  )(
    "it does not matter how bytes arrive (%s)",
    ([, delivery]) =>
      greeted("Require", (client) =>
        Effect.gen(function*() {
          yield* client.startTls()
          yield* client.info("GO", "closed")
          yield* client.request("READ", { length: 8192 })
          expect((yield* client.simple(8192)).data).toEqual(filled(8192, 0))
        }), { delivery })
  )
})

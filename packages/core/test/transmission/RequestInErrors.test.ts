/**
 * What is known of a request that was sent and failed: all of it, so that it can be made again, and printed without
 * the content of its memory.
 */
import { Handle, type Request } from "@effect-nbd/core"
import { Read, Write } from "@effect-nbd/core/Request"
import { DividedCommand } from "@effect-nbd/core/transmission/Division"
import { concat } from "@effect-nbd/core/wire/Bytes"
import { ReplyFlags } from "@effect-nbd/core/wire/Flags"
import { encodeChunk, encodeSimpleReply } from "@effect-nbd/core/wire/Reply"
import { FakeServer } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { inspect } from "node:util"
import { transmission } from "./ByHand.ts"

const server = FakeServer.layer({ exports: [{ name: "disk", size: 65_536 }] })
const bytes = new Uint8Array(512).fill(0xab)

/** Makes the request again, if it is one that this test knows how to. */
const replay = (nbd: Handle.Connected, request: Request.Request): Effect.Effect<void, unknown> =>
  request._tag === "Write"
    ? nbd.write(request.offset, request.bytes, request.options)
    : Effect.dieMessage(`there was no ${request._tag}`)

describe("a request that was lost", () => {
  it.scoped("is in its error, and can be made again on another connection", () =>
    Effect.gen(function*() {
      const fake = yield* FakeServer.FakeServer
      yield* fake.hold
      const first = yield* Handle.connect({ exportName: "disk" })
      const writing = yield* Effect.fork(Effect.flip(first.write(1024n, bytes, { fua: true })))
      yield* fake.awaitRequests(1)
      yield* fake.killAll
      const lost = yield* Fiber.join(writing)
      if (lost._tag !== "NbdCommandLostError") throw lost
      expect(lost.request).toStrictEqual(new Write(1024n, bytes, { fua: true }))
      yield* fake.release
      const second = yield* Handle.connect({ exportName: "disk" })
      yield* replay(second, lost.request)
      expect(yield* second.read(1024n, 512)).toStrictEqual(bytes)
    }).pipe(Effect.provide(server)))

  it("is printed without the content of its memory", () => {
    const { connection, outcomes, submit } = transmission()
    submit({ request: new Write(0n, bytes), name: "write", length: 512, payload: bytes })
    connection.end()
    const shown = inspect(outcomes, { depth: 9 })
    expect(shown).toContain("_tag: 'Write'")
    expect(shown).not.toMatch(/171|\bab\b|abab|Uint8Array/i)
  })

  it("is all of it, where a part was lost", () => {
    const { connection, engine } = transmission({ replyStyle: "Simple" })
    const settled: Array<unknown> = []
    const request = new Write(0n, bytes)
    const command = { request, name: "write", flags: 0, offset: 0n, length: 512, payload: bytes } as const
    const divided = new DividedCommand(engine, { ...command, destination: undefined, detail: undefined }, 256, {
      settle: (failure) => settled.push(failure),
      isGone: () => false
    })
    connection.arrive(encodeSimpleReply({ cookie: 1n, error: 0 }))
    connection.end()
    divided.abandon()
    expect(settled).toMatchObject([{ _tag: "NbdCommandLostError", offset: 256n, length: 256 }])
    expect(settled).toHaveProperty([0, "request"], request)
  })
})

describe("a request that failed", () => {
  it("is in its error, whether the server failed it or its reply makes no sense", () => {
    const { connection, outcomes, submit } = transmission()
    const write = new Write(0n, bytes)
    const read = new Read(0n, 8)
    submit({ request: write, name: "write", length: 512, payload: bytes })
    submit({ request: read, name: "read", length: 8 })
    connection.arrive(encodeSimpleReply({ cookie: 1n, error: 5 }))
    connection.arrive(concat(encodeChunk(2n, ReplyFlags(ReplyFlags.DONE), { _tag: "None" })))
    expect(outcomes).toMatchObject([{ _tag: "NbdCommandError", errno: "EIO" }, { _tag: "NbdReplyInvalidError" }])
    expect(outcomes).toHaveProperty([0, "request"], write)
    expect(outcomes).toHaveProperty([1, "request"], read)
  })
})

/**
 * Every operation in every state: the handle does what the table says, the table says what libnbd says, and what is
 * refused is not sent.
 */
import { Handle, HandleState, Transport, TransportError } from "@effect-nbd/core"
import { FakeServer } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { readFileSync } from "node:fs"
import { errorOf, refusals } from "./fixtures/Refusals.ts"

/** Every operation of a handle, run for its outcome alone. */
const operations: {
  readonly [Op in HandleState.Operation]: (
    handle: Handle.Handle
  ) => Effect.Effect<unknown, { readonly _tag: string }, Transport.Transport>
} = {
  state: ({ state }) => state,
  changes: ({ changes }) => Stream.runHead(changes),
  awaitState: ({ awaitState }) => awaitState(...HandleState.states),
  statistics: ({ statistics }) => statistics,
  isCreated: ({ isCreated }) => isCreated,
  isConnecting: ({ isConnecting }) => isConnecting,
  isNegotiating: ({ isNegotiating }) => isNegotiating,
  isReady: ({ isReady }) => isReady,
  isClosed: ({ isClosed }) => isClosed,
  isDead: ({ isDead }) => isDead,
  settings: ({ settings }) => settings,
  setStrictness: ({ setStrictness }) => setStrictness({ align: false }),
  configure: ({ configure }) => configure({ fullInfo: false }),
  uri: ({ uri }) => uri,
  connect: ({ connect }) => connect,
  startConnect: ({ startConnect }) => startConnect,
  go: ({ go }) => go("disk"),
  info: ({ info }) => info("disk"),
  list: ({ list }) => list,
  listMetaContexts: ({ listMetaContexts }) => listMetaContexts({ exportName: "disk" }),
  setMetaContexts: ({ setMetaContexts }) => setMetaContexts({ exportName: "disk" }),
  structuredReplies: ({ structuredReplies }) => structuredReplies,
  extendedHeaders: ({ extendedHeaders }) => extendedHeaders,
  option: ({ option }) => option(0x4242),
  startTls: ({ startTls }) => startTls(),
  abort: ({ abort }) => abort,
  agreed: ({ agreed }) => agreed,
  exportInfo: ({ exportInfo }) => exportInfo,
  read: ({ read }) => read(0n, 512),
  readInto: ({ readInto }) => readInto(0n, new Uint8Array(512)),
  readBorrowed: ({ readBorrowed }) => readBorrowed(0n, 512, () => Effect.void),
  write: ({ write }) => write(0n, new Uint8Array(512)),
  flush: ({ flush }) => flush,
  trim: ({ trim }) => trim(0n, 512),
  cache: ({ cache }) => cache(0n, 512),
  writeZeroes: ({ writeZeroes }) => writeZeroes(0n, 512),
  readStructured: ({ readStructured }) => readStructured(0n, 512),
  blockStatus: ({ blockStatus }) => blockStatus(0n, 512),
  extents: ({ extents }) => Stream.runDrain(extents()),
  command: ({ command }) => command({ code: 3 }),
  inFlight: ({ inFlight }) => inFlight,
  shutdown: ({ shutdown }) => shutdown
}

const server = FakeServer.layer({ exports: [{ name: "disk", size: 65_536 }] })

/** A target that opens nothing: it hangs, or fails. */
const nowhere = (open: Transport.Transport["Type"]["open"]) =>
  Layer.succeed(Transport.Transport, { target: "nowhere", open })

const noProgram = new TransportError.ProgramNotFoundError({ command: "none", args: [], code: "ENOENT" })

/** A handle in each of the six states, reached the way an application would. */
const inState: {
  readonly [Tag in HandleState.StateTag]: Effect.Effect<
    Handle.Handle,
    unknown,
    Transport.Transport | Scope.Scope
  >
} = {
  Created: Handle.make(),
  Connecting: Effect.tap(Handle.make(), ({ startConnect }) => startConnect.pipe(Effect.provide(nowhere(Effect.never)))),
  Negotiating: Effect.tap(Handle.make({ optMode: true }), ({ connect }) => connect),
  Connected: Effect.tap(Handle.make({ exportName: "disk" }), ({ connect }) => connect),
  ShutDown: Effect.tap(
    Handle.make({ exportName: "disk" }),
    ({ connect, shutdown }) => Effect.zipRight(connect, shutdown)
  ),
  Dead: Effect.tap(
    Handle.make(),
    ({ connect }) => Effect.ignore(Effect.provide(connect, nowhere(Effect.fail(noProgram))))
  )
}

const sent = Effect.gen(function*() {
  const { options, requests } = yield* FakeServer.FakeServer
  return { requests: (yield* requests).length, options: (yield* options).length }
})

const tags: (tag: HandleState.StateTag) => ReadonlyArray<HandleState.StateTag> = () => HandleState.states

describe.each(tags("Created"))("a handle that is %s", (tag) => {
  const names = Object.keys(operations) as Array<HandleState.Operation>

  it.scoped("is in that state, and says so", () =>
    Effect.gen(function*() {
      const handle = yield* inState[tag]
      expect((yield* handle.state)._tag).toBe(tag)
      const asked = [
        yield* handle.isCreated,
        yield* handle.isConnecting,
        yield* handle.isNegotiating,
        yield* handle.isReady,
        yield* handle.isClosed,
        yield* handle.isDead
      ]
      expect(asked).toStrictEqual(HandleState.states.map((state) => state === tag))
    }).pipe(Effect.provide(server)))

  for (const name of names) {
    const permitted: ReadonlyArray<HandleState.StateTag> = HandleState.permitted[name]
    const verb = permitted.includes(tag) ? "allows" : "refuses"
    it.scoped(`${verb} ${name}${verb === "refuses" ? ", and sends nothing" : ""}`, () =>
      Effect.gen(function*() {
        const handle = yield* inState[tag]
        const before = yield* sent
        const outcome = yield* Effect.either(operations[name](handle))
        if (permitted.includes(tag)) {
          expect(outcome._tag === "Left" && refusals.has(outcome.left._tag)).toBe(false)
        } else {
          expect(outcome).toMatchObject({ _tag: "Left", left: { _tag: errorOf[tag], operation: name, permitted } })
          yield* Effect.yieldNow()
          expect(yield* sent).toStrictEqual(before)
          expect((yield* handle.state)._tag).toBe(tag)
        }
      }).pipe(Effect.provide(server)))
  }
})

describe("the table", () => {
  const [header = "", ...lines] = readFileSync(new URL("./fixtures/libnbd-call-states.tsv", import.meta.url), "utf8")
    .trimEnd()
    .split("\n")
  const rows = lines.map((line) => line.split("\t"))

  it("has its columns in the order of a handle's life", () => {
    expect(header.split("\t").slice(2, 8)).toStrictEqual([
      "Created",
      "Connecting",
      "Negotiating",
      "Connected",
      "Closed",
      "Dead"
    ])
  })

  it("has a row of libnbd's for every operation but the one that libnbd's own list of things to do asks for", () => {
    const operations = [...rows.map(([operation]) => operation), "option"]
    expect(new Set(operations)).toStrictEqual(new Set(Object.keys(HandleState.permitted)))
    expect(HandleState.permitted.option).toStrictEqual(HandleState.permitted.list)
  })

  it.each(rows)("allows %s where libnbd allows nbd_%s", (operation, _call, ...cells) => {
    const permitted: ReadonlyArray<string> = HandleState.permitted[operation as HandleState.Operation]
    const allowed = HandleState.states.filter((_, column) => cells[column] === "allowed")
    expect(permitted).toStrictEqual(allowed)
  })
})

describe("a dead handle", () => {
  it.scoped("says what killed it, to everyone who asks", () =>
    Effect.gen(function*() {
      const handle = yield* inState.Dead
      const error = yield* Effect.flip(handle.read(0n, 512))
      expect(error).toMatchObject({
        _tag: "NbdHandleDeadError",
        reason: { _tag: "NbdProgramNotFoundError", command: "none" }
      })
      expect(error.message).toContain("cannot start none")
    }).pipe(Effect.provide(server)))
})

describe("a handle that could not connect", () => {
  const refused = (network: "tcp" | "unix") =>
    new TransportError.ConnectionRefusedError({
      target: "x",
      network,
      attempts: [{ address: "::1", code: "ECONNREFUSED" }]
    })

  it.scoped("may try again after TCP, as in libnbd", () =>
    Effect.gen(function*() {
      const handle = yield* Handle.make({ exportName: "disk" })
      expect(yield* Effect.flip(Effect.provide(handle.connect, nowhere(Effect.fail(refused("tcp")))))).toMatchObject({
        _tag: "NbdConnectionRefusedError"
      })
      expect(yield* handle.state).toMatchObject({ _tag: "Created", lastFailure: { _tag: "Some" } })
      yield* handle.connect
      expect(yield* handle.isReady).toBe(true)
    }).pipe(Effect.provide(server)))

  it.scoped("may try again after a Unix socket whose queue stayed full: nothing was opened", () =>
    Effect.gen(function*() {
      const full = new TransportError.ConnectTimeoutError({
        target: "x",
        network: "unix",
        timeout: Duration.seconds(5),
        attempts: [{ address: "/x", code: "EAGAIN" }]
      })
      const handle = yield* Handle.make({ exportName: "disk" })
      yield* Effect.flip(Effect.provide(handle.connect, nowhere(Effect.fail(full))))
      expect(yield* handle.state).toMatchObject({ _tag: "Created" })
      yield* handle.connect
      expect(yield* handle.isReady).toBe(true)
    }).pipe(Effect.provide(server)))

  it.scoped("is dead after a Unix socket, as in libnbd", () =>
    Effect.gen(function*() {
      const handle = yield* Handle.make()
      yield* Effect.flip(Effect.provide(handle.connect, nowhere(Effect.fail(refused("unix")))))
      expect(yield* handle.isDead).toBe(true)
    }))
})

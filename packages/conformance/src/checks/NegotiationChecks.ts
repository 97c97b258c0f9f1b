/**
 * Greeting and haggling, and the states of the handle on the way.
 *
 * @since 0.1.0
 */
import * as Handle from "@effect-nbd/core/Handle"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { type Check, connect, expectEqual, expectTag, lengthNear, limitsOf, skipped, type Target } from "./Check.ts"

/** The next `count` states, the one now included: a fiber that is watching already when this is done. */
const watch = (handle: Handle.Handle, count: number) =>
  Effect.gen(function*() {
    const watching = yield* Deferred.make<void>()
    const seen = yield* handle.changes.pipe(
      Stream.tap(() => Deferred.succeed(watching, undefined)),
      Stream.map(({ _tag }) => _tag),
      Stream.take(count),
      Stream.runCollect,
      Effect.fork
    )
    yield* Deferred.await(watching)
    return seen
  })

/**
 * @since 0.1.0
 * @category constructors
 */
export const negotiationChecks = (target: Target): ReadonlyArray<Check> => {
  const protocol = target.protocol ?? "newstyle-fixed"
  const always: ReadonlyArray<Check> = [
    {
      name: "connecting tells what was agreed on and what the export is",
      rules: [],
      run: Effect.gen(function*() {
        const connected = yield* connect(target)
        yield* expectEqual("protocol", connected.agreed.protocol, protocol)
        yield* expectEqual("export", connected.export.name, target.exportName)
      })
    },
    {
      name: "a handle goes from Created through Connecting to Connected, and shuts down",
      rules: [],
      run: Effect.gen(function*() {
        const handle = yield* Handle.make({ exportName: target.exportName })
        const seen = yield* watch(handle, 4)
        yield* handle.connect
        yield* expectTag("a second connect", handle.connect, "NbdAlreadyConnectedError")
        yield* handle.shutdown
        yield* expectEqual("states", [...(yield* Fiber.join(seen))].join(), "Created,Connecting,Connected,ShutDown")
      })
    },
    {
      name: "startConnect returns while the handle is Connecting, and the state tells the rest",
      rules: [],
      run: Effect.gen(function*() {
        const handle = yield* Handle.make({ exportName: target.exportName })
        yield* handle.startConnect
        yield* expectEqual("state", (yield* handle.state)._tag, "Connecting")
        yield* expectTag("a read meanwhile", handle.read(0n, 512), "NbdStillConnectingError")
        yield* expectEqual("state", (yield* handle.awaitState("Connected", "Created", "Dead"))._tag, "Connected")
        yield* handle.shutdown
      })
    }
  ]
  return [...always, ...(protocol === "newstyle-fixed" ? haggling(target) : withoutHaggling(target, protocol))]
}

const haggling = (target: Target): ReadonlyArray<Check> => [
  {
    name: "negotiate stops to haggle: list, info and go",
    rules: ["C-041", "C-208", "C-209", "C-211"],
    run: Effect.gen(function*() {
      const negotiating = yield* Handle.negotiate()
      if (target.lists !== false) {
        const listed = (yield* negotiating.list).map(({ name }) => name)
        yield* expectEqual(`${target.exportName} is in ${listed.join()}`, listed.includes(target.exportName), true)
      }
      const told = yield* Effect.either(negotiating.info(target.exportName))
      if (told._tag === "Right") yield* expectEqual("name", told.right.name, target.exportName)
      else yield* expectEqual("why there is no information", told.left._tag, "NbdOptionRefusedError")
      const connected = yield* negotiating.go(target.exportName)
      yield* connected.shutdown
    })
  },
  {
    name: "a refused go leaves the handle negotiating",
    rules: ["C-058"],
    run: Effect.gen(function*() {
      const { unknownExport } = target
      const negotiating = yield* Handle.negotiate()
      if (unknownExport !== undefined) {
        yield* expectTag("info", negotiating.info(unknownExport), "NbdExportUnknownError")
        yield* expectTag("go", negotiating.go(unknownExport), "NbdExportUnknownError")
      }
      yield* expectEqual("state", (yield* negotiating.state)._tag, "Negotiating")
      yield* Effect.flatMap(negotiating.go(target.exportName), ({ shutdown }) => shutdown)
    })
  },
  {
    name: "fibers that haggle at once take turns",
    rules: ["C-020"],
    run: Effect.gen(function*() {
      const negotiating = yield* Handle.negotiate()
      const asked = yield* Effect.all(
        Array.from({ length: 4 }, () => Effect.either(negotiating.info(target.exportName))),
        { concurrency: "unbounded" }
      )
      for (const told of asked) {
        if (told._tag === "Left") yield* expectEqual("why one fails", told.left._tag, "NbdOptionRefusedError")
      }
      yield* Effect.flatMap(negotiating.go(target.exportName), ({ shutdown }) => shutdown)
    })
  },
  {
    name: "abort leaves in order",
    rules: ["C-034", "C-210"],
    run: Effect.gen(function*() {
      const negotiating = yield* Handle.negotiate()
      yield* negotiating.abort
      yield* expectEqual("state", (yield* negotiating.state)._tag, "ShutDown")
      yield* expectTag("go afterwards", negotiating.go(target.exportName), "NbdShutDownError")
    })
  },
  {
    name: "simple replies are enough",
    rules: ["C-212"],
    run: Effect.gen(function*() {
      const connected = yield* Handle.connect({ exportName: target.exportName, requestStructuredReplies: false })
      yield* expectEqual("reply style", connected.agreed.replyStyle, "Simple")
      const length = lengthNear(limitsOf(connected), 512)
      const bytes = yield* connected.read(0n, length)
      yield* expectEqual("bytes read", bytes.byteLength, length)
    })
  },
  {
    name: "an unknown export is refused by name",
    rules: [],
    run: target.unknownExport === undefined
      ? skipped("no name is known that the server refuses")
      : expectTag("connect", Handle.connect({ exportName: target.unknownExport }), "NbdExportUnknownError")
  }
]

const withoutHaggling = (target: Target, protocol: "oldstyle" | "newstyle"): ReadonlyArray<Check> => [
  {
    name: "a server without haggling is entered all the same, and says what it cannot do",
    rules: ["C-011", "C-019"],
    run: protocol === "oldstyle"
      ? Effect.zipRight(
        expectTag("negotiate", Handle.negotiate(), "NbdOptionUnavailableError"),
        expectTag("a named export", Handle.connect({ exportName: "named" }), "NbdOptionUnavailableError")
      )
      : Effect.gen(function*() {
        const negotiating = yield* Handle.negotiate()
        yield* expectTag("list", negotiating.list, "NbdOptionUnavailableError")
        yield* expectTag("info", negotiating.info(target.exportName), "NbdOptionUnavailableError")
        yield* Effect.flatMap(negotiating.go(target.exportName), ({ shutdown }) => shutdown)
      })
  }
]

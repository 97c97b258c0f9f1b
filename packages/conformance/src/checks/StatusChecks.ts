/**
 * Meta contexts, block status, and reads that tell data from holes.
 *
 * @since 0.1.0
 */
import * as Handle from "@effect-nbd/core/Handle"
import type { Connected } from "@effect-nbd/core/Handle"
import type { HandleConfig } from "@effect-nbd/core/HandleConfig"
import * as MetaContext from "@effect-nbd/core/MetaContext"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import {
  type Check,
  ConformanceError,
  expectBytes,
  expectEqual,
  expectKept,
  expectRefusal,
  expectTag,
  lengthNear,
  limitsOf,
  pattern,
  type RuleId,
  type Skipped,
  skipped,
  type Target
} from "./Check.ts"

const mebibyte = 1_048_576n
/** Four of them are not too much for one read, unless the export takes no more than a block at a time. */
const blockOf = (connected: Connected): number => lengthNear(limitsOf(connected), 16_384, 4)

/** Connects, and asks for `base:allocation`, which a server need not have. */
const connect = (target: Target, config: HandleConfig = {}) =>
  Handle.connect({
    exportName: target.exportName,
    metaContexts: [{ name: MetaContext.baseAllocation, optional: true }],
    ...config
  })

const expectZeroes = (connected: Connected, offset: bigint, length: bigint) =>
  Effect.gen(function*() {
    const block = blockOf(connected)
    for (let at = 0n; at < length; at += BigInt(block)) {
      const left = Number(length - at)
      const bytes = yield* connected.read(offset + at, Math.min(left, block))
      yield* expectBytes(`zeroes at ${offset + at}`, bytes, new Uint8Array(bytes.byteLength))
    }
  })

type Body = (connected: Connected) => Effect.Effect<Skipped | void, unknown>

/**
 * @since 0.1.0
 * @category constructors
 */
export const statusChecks = (target: Target): ReadonlyArray<Check> => {
  /** With a server that has no contexts, block status must be refused before it is sent. */
  const told = (name: string, rules: ReadonlyArray<RuleId>, body: Body): Check => ({
    name,
    rules,
    run: Effect.flatMap(connect(target), (connected) =>
      connected.export.contexts.length === 0
        ? expectRefusal(
          MetaContext.baseAllocation,
          connected.blockStatus(0n, blockOf(connected)),
          "NbdNoMetaContextError"
        )
        : body(connected))
  })
  return [
    ...(target.protocol ?? "newstyle-fixed") === "newstyle-fixed" ? haggling(target) : [],
    told(
      "extents cover the export without a gap, and neighbours differ",
      ["C-189", "C-192", "C-194"],
      (connected) =>
        Effect.gen(function*() {
          const block = blockOf(connected)
          yield* connected.write(BigInt(block), pattern(0n, block, 41))
          const end = yield* Stream.runFoldEffect(
            connected.extents(),
            { at: 0n, flags: -1n },
            (before, { length, offset, status }) =>
              Effect.gen(function*() {
                yield* expectEqual("where an extent begins", offset, before.at)
                yield* expectEqual("how many contexts it tells of", status.length, connected.export.contexts.length)
                const flags = status[0]?.flags ?? -1n
                yield* expectEqual(`extents at ${offset} differ`, flags !== before.flags, true)
                return { at: offset + length, flags }
              })
          )
          yield* expectEqual("where the last extent ends", end.at, connected.export.size)
        })
    ),
    told(
      "what is said to be zero reads as zeroes",
      ["C-120"],
      (connected) =>
        Effect.gen(function*() {
          const block = blockOf(connected)
          yield* connected.write(BigInt(block), pattern(0n, block, 42))
          if (connected.export.canWriteZeroes) {
            yield* Effect.ignore(connected.writeZeroes(BigInt(2 * block), block))
          }
          const { size } = connected.export
          const length = size < mebibyte ? size : mebibyte
          yield* Stream.runForEach(connected.extents({ length }), ({ length, offset, status }) =>
            MetaContext.isZero(status[0]?.flags ?? 0n) ? expectZeroes(connected, offset, length) : Effect.void)
        })
    ),
    told(
      "one extent, where one is asked for, within the request",
      ["C-191"],
      (connected) =>
        Effect.gen(function*() {
          const block = blockOf(connected)
          const [status] = yield* connected.blockStatus(BigInt(block), block, { reqOne: true })
          yield* expectEqual("extents", status?.count, 1)
          const covered = status?.covered ?? 0n
          yield* expectEqual(`${covered} bytes are within ${block}`, covered >= 1n && covered <= BigInt(block), true)
        })
    ),
    told("64 questions in flight find their own answers", ["C-154", "C-186"], (connected) => {
      const blocks = connected.export.size / BigInt(blockOf(connected))
      const places = blocks < 16n ? Math.max(1, Number(blocks)) : 16
      return Effect.forEach(
        Array.from({ length: 64 }, (_, index) => BigInt(index % places) * BigInt(blockOf(connected))),
        (offset) =>
          Effect.flatMap(connected.blockStatus(offset, blockOf(connected)), ([status]) =>
            Effect.zipRight(
              expectEqual("context", status?.context, MetaContext.baseAllocation),
              expectEqual("where the answer begins", status?.offset, offset)
            )),
        { concurrency: "unbounded", discard: true }
      )
    }),
    {
      name: "a structured read gives the same bytes, and pieces that cover them in some order",
      rules: ["C-175", "C-176"],
      run: Effect.gen(function*() {
        const connected = yield* connect(target)
        const block = blockOf(connected)
        if (connected.export.maximumPayload < 4 * block) return yield* skipped("no read can be longer than a block")
        const written = pattern(0n, block, 43)
        yield* connected.write(BigInt(block), written)
        const { bytes, pieces } = yield* connected.readStructured(0n, 4 * block)
        yield* expectKept("read", bytes, yield* connected.read(0n, 4 * block))
        yield* expectKept("what was written", bytes.subarray(block, 2 * block), written)
        let at = 0n
        for (const piece of pieces.toSorted((a, b) => Number(a.offset - b.offset))) {
          yield* expectEqual("where a piece begins", piece.offset, at)
          at += BigInt(piece.length)
          if (piece._tag === "Hole") {
            const hole = bytes.subarray(Number(piece.offset), Number(at))
            yield* expectBytes(`the hole at ${piece.offset}`, hole, new Uint8Array(piece.length))
          }
        }
        return yield* expectEqual("where the last piece ends", at, BigInt(4 * block))
      })
    },
    {
      name: "a read that may not be fragmented comes in one piece, if the server offers it",
      rules: ["C-131", "C-179"],
      run: Effect.gen(function*() {
        const connected = yield* connect(target)
        const block = blockOf(connected)
        yield* connected.write(0n, pattern(0n, lengthNear(limitsOf(connected), 4096, 4), 44))
        const read = connected.readStructured(0n, block, { df: true })
        if (!connected.export.canDf) return yield* expectRefusal("NBD_CMD_FLAG_DF", read)
        const { bytes, pieces } = yield* read
        yield* expectEqual("pieces", pieces.length, 1)
        return yield* expectKept("read", bytes, yield* connected.read(0n, block))
      })
    },
    {
      name: "extended, structured and simple replies bring the same bytes",
      rules: ["C-105", "C-218"],
      run: Effect.gen(function*() {
        const styles = [
          { requestExtendedHeaders: true },
          { requestExtendedHeaders: false },
          { requestStructuredReplies: false }
        ]
        for (const style of styles) {
          yield* Effect.scoped(Effect.gen(function*() {
            const connected = yield* connect(target, style)
            const bytes = pattern(0n, blockOf(connected), 45)
            // A command starts afresh each time.
            const offset = BigInt(bytes.byteLength)
            yield* connected.write(offset, bytes)
            yield* expectKept(
              `with ${Object.keys(style).join()}`,
              yield* connected.read(offset, bytes.byteLength),
              bytes
            )
            yield* connected.shutdown
          }))
        }
      })
    }
  ]
}

const haggling = (target: Target): ReadonlyArray<Check> => [
  {
    name: "contexts are listed, by name, by pattern or all, and those that are selected are granted",
    rules: ["C-107", "C-116", "C-117"],
    run: Effect.gen(function*() {
      const { exportName } = target
      const negotiating = yield* Handle.negotiate({ exportName })
      const listing = yield* Effect.either(negotiating.listMetaContexts({ queries: [] }))
      if (listing._tag === "Left") {
        // A server without contexts says so, and its export can be entered.
        yield* expectEqual("why there is no list", isRefusal(listing.left), true)
        yield* Effect.flatMap(negotiating.go(), ({ shutdown }) => shutdown)
        return yield* skipped(noContexts)
      }
      const base = MetaContext.baseAllocation
      const isOffered = listing.right.includes(base)
      const expected = isOffered ? base : ""
      const byName = yield* negotiating.listMetaContexts({ queries: [base] })
      yield* expectEqual("listed by name", byName.join(), expected)
      const byPattern = yield* negotiating.listMetaContexts({ queries: ["base:"] })
      yield* expectEqual("listed by pattern", byPattern.includes(base), isOffered)
      const unknown = yield* negotiating.listMetaContexts({ queries: ["x-nobody:nothing"] })
      yield* expectEqual("listed of an unknown namespace", unknown.join(), "")

      const optional = (name: string) => ({ name, optional: true })
      const contexts = [optional(base), optional("x-nobody:nothing")]
      const selection = yield* Effect.either(negotiating.setMetaContexts({ contexts }))
      if (selection._tag === "Left") {
        yield* expectEqual("why there is no selection", isRefusal(selection.left), true)
        return yield* skipped(noContexts)
      }
      yield* expectEqual("granted", selection.right.map(({ name }) => name).join(), expected)
      const connected = yield* negotiating.go()
      yield* expectEqual("known", connected.export.contexts.map(({ name }) => name).join(), expected)
      return yield* connected.shutdown
    })
  },
  {
    name: "a selection replaces the one before",
    rules: ["C-112"],
    run: Effect.gen(function*() {
      const { exportName } = target
      const negotiating = yield* Handle.negotiate({ exportName })
      const select = (...names: ReadonlyArray<string>) =>
        negotiating.setMetaContexts({ contexts: names.map((name) => ({ name, optional: true })) })
      const first = yield* Effect.either(select(MetaContext.baseAllocation))
      if (first._tag === "Left") {
        yield* expectEqual("why there is no selection", isRefusal(first.left), true)
        return yield* skipped(noContexts)
      }
      yield* select()
      const connected = yield* negotiating.go()
      yield* expectTag("block status", connected.blockStatus(0n, blockOf(connected)), "NbdNoMetaContextError")
      return yield* connected.shutdown
    })
  },
  {
    name: "a context that must be granted and is not keeps the export closed",
    rules: [],
    run: Effect.gen(function*() {
      const { exportName } = target
      const metaContexts = ["x-nobody:nothing"]
      const outcome = yield* Effect.either(Handle.connect({ exportName, metaContexts }))
      if (outcome._tag === "Right") {
        const expected = "a refusal"
        return yield* new ConformanceError({ what: "connect", expected, actual: outcome.right.export.contexts })
      }
      const { _tag } = outcome.left
      yield* expectEqual(_tag, _tag === "NbdMetaContextNotGrantedError" || isRefusal(outcome.left), true)
    })
  }
]

const noContexts = "the server does not offer meta contexts"

/** The server does not do it, or not without structured replies, which it does not do. */
const isRefusal = ({ _tag }: { readonly _tag: string }): boolean =>
  _tag === "NbdOptionRefusedError" || _tag === "NbdOptionForbiddenError" || _tag === "NbdOptionUnavailableError" ||
  _tag === "NbdMetaContextNotGrantedError"

/**
 * The laws of a `BlockDevice`, to be run over any of them: what is read is what was written, in whatever order and however
 * many at a time; zeroes are zeroes; extents never lie; what is refused changes nothing.
 *
 * They write, and expect that nothing else uses the device. Of a large one they use two windows, at its start and at its
 * end.
 *
 * @since 0.1.0
 */
import type { BlockDevice } from "@effect-nbd/block/BlockDevice"
import { end, type Extent, isAlike } from "@effect-nbd/block/Extent"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Action, apply, Model, program, show, type Window, window } from "./laws/Model.ts"

/**
 * A law that can be checked by itself: it opens the device for each program that it tries.
 *
 * @since 0.1.0
 * @category models
 */
export interface Law {
  /** What holds, as a sentence. */
  readonly name: string
  readonly run: Effect.Effect<void, LawError>
}

/**
 * A law does not hold. The message has the program that broke it, and the seed that makes it again.
 *
 * @since 0.1.0
 * @category errors
 */
export class LawError extends Data.TaggedError("NbdLawError")<{
  readonly law: string
  readonly reason: string
}> {
  override get message(): string {
    return `${this.law}: ${this.reason}`
  }
}

/**
 * How thoroughly they are checked.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Random programs for each law; 30 by default. */
  readonly runs?: number | undefined
  /** Where the random numbers begin; another one each time by default. A failure names the one that it had. */
  readonly seed?: number | undefined
}

/** What a check finds wrong, in words; `undefined` where nothing is. */
type Verdict = string | undefined

/**
 * The laws, for a device that `open` opens: each program has a device of its own, in a scope of its own. Its content may be
 * anything.
 *
 * @since 0.1.0
 * @category constructors
 */
export const laws = <E, E2>(
  open: Effect.Effect<BlockDevice<E>, E2, Scope.Scope>,
  options: Options = {}
): ReadonlyArray<Law> => {
  /** A law about random programs on a window of the device. */
  const law = (
    name: string,
    check: (device: BlockDevice<E>, area: Window, actions: ReadonlyArray<Action>) => Effect.Effect<Verdict, E>
  ): Law => ({
    name,
    run: Effect.gen(function*() {
      const runtime = yield* Effect.runtime()
      const attempt = (seed: number, atEnd: boolean) =>
        Effect.scoped(Effect.gen(function*() {
          const device = yield* open
          const area = window(device, atEnd)
          const actions = program(device, area, seed)
          const verdict = yield* check(device, area, actions)
          return verdict === undefined ? undefined : `${verdict}\n${actions.map(show).join("\n")}`
        })).pipe(
          Effect.catchAllCause((cause) => Effect.succeed(`the device failed: ${String(cause)}`)),
          Runtime.runPromise(runtime)
        )
      const property = FastCheck.asyncProperty(FastCheck.nat(), FastCheck.boolean(), async (seed, atEnd) => {
        const reason = await attempt(seed, atEnd)
        if (reason !== undefined) throw new LawError({ law: name, reason })
      })
      const parameters = { numRuns: options.runs ?? 30, ...options.seed === undefined ? {} : { seed: options.seed } }
      const result = yield* Effect.promise(() => FastCheck.check(property, parameters))
      if (!result.failed) return
      const reason = result.errorInstance instanceof LawError
        ? result.errorInstance.reason
        : String(result.errorInstance)
      return yield* new LawError({ law: name, reason: `${reason}\n(seed ${result.seed})` })
    })
  })

  return [
    law(
      "what is read is what was written, one request after the other",
      (device, area, actions) =>
        Effect.gen(function*() {
          const model = new Model(area, yield* contentOf(device, area))
          for (const action of actions) {
            yield* apply(device, action)
            model.apply(action)
          }
          return model.differenceTo(yield* contentOf(device, area))
        })
    ),
    law(
      "what is read is what was written, with requests side by side that do not overlap",
      (device, area, actions) =>
        Effect.gen(function*() {
          const model = new Model(area, yield* contentOf(device, area))
          for (const batch of apart(actions)) {
            yield* Effect.forEach(batch, (action) => apply(device, action), { concurrency: "unbounded", discard: true })
            for (const action of batch) model.apply(action)
          }
          return model.differenceTo(yield* contentOf(device, area))
        })
    ),
    law(
      "requests that overlap leave, byte by byte, what one of them or what was there before",
      (device, area, actions) =>
        Effect.gen(function*() {
          const before = yield* contentOf(device, area)
          yield* Effect.forEach(actions, (action) => apply(device, action), { concurrency: "unbounded", discard: true })
          return new Model(area, before).impossibleIn(yield* contentOf(device, area), actions)
        })
    ),
    law("read, readInto and readBorrowed say the same", (device, area, actions) =>
      Effect.gen(function*() {
        for (const action of actions) yield* apply(device, action)
        const { length, offset } = area
        const read = yield* contentOf(device, area)
        const into = new Uint8Array(length)
        yield* inPieces(
          device,
          area,
          (at, count) => device.readInto(offset + BigInt(at), into.subarray(at, at + count))
        )
        const borrowed = new Uint8Array(length)
        yield* inPieces(
          device,
          area,
          (at, count) =>
            device.readBorrowed(offset + BigInt(at), count, (bytes) => Effect.sync(() => borrowed.set(bytes, at)))
        )
        return equal(read, into)
          ? equal(read, borrowed) ? undefined : "readBorrowed differs from read"
          : "readInto differs from read"
      })),
    law("extents cover the range in order, differ from their neighbours, and are zero only where zeroes are read", (
      device,
      area,
      actions
    ) =>
      Effect.gen(function*() {
        for (const action of actions) yield* apply(device, action)
        const extents = yield* Stream.runCollect(device.extents({ offset: area.offset, length: BigInt(area.length) }))
        return faultOfExtents([...extents], area, yield* contentOf(device, area))
      })),
    law(
      "what is outside the device, not aligned or too long is refused, and changes nothing",
      (device, area) =>
        Effect.gen(function*() {
          const before = yield* contentOf(device, area)
          const accepted = yield* Effect.filter(nonsense(device), ([, request]) => Effect.isSuccess(request))
          if (accepted.length > 0) return `not refused: ${accepted.map(([what]) => what).join(", ")}`
          return equal(before, yield* contentOf(device, area)) ? undefined : "what was refused has changed something"
        })
    ),
    law("a range of no bytes is nothing to do", (device, area) =>
      Effect.gen(function*() {
        const before = yield* contentOf(device, area)
        const bytes = yield* device.read(device.size - (device.size % BigInt(device.geometry.minimum)), 0)
        if (bytes.byteLength !== 0) return `a read of no bytes gave ${bytes.byteLength}`
        if (!device.geometry.readOnly) yield* device.write(area.offset, new Uint8Array(0))
        return equal(before, yield* contentOf(device, area)) ? undefined : "the content has changed"
      }))
  ]
}

const equal = (self: Uint8Array, that: Uint8Array): boolean => {
  for (let at = 0; at < self.byteLength; at++) if (self[at] !== that[at]) return false
  return self.byteLength === that.byteLength
}

const isZero = (bytes: Uint8Array): boolean => {
  for (let at = 0; at < bytes.byteLength; at++) if (bytes[at] !== 0) return false
  return true
}

/** Calls `request` for the pieces of a window that one request can have. */
const inPieces = <E, E2>(
  { geometry }: BlockDevice<E>,
  { length }: Window,
  request: (at: number, count: number) => Effect.Effect<void, E2>
): Effect.Effect<void, E2> => {
  const starts = Array.from({ length: Math.ceil(length / geometry.maximum) }, (_, index) => index * geometry.maximum)
  return Effect.forEach(starts, (at) => request(at, Math.min(geometry.maximum, length - at)), { discard: true })
}

const contentOf = <E>(device: BlockDevice<E>, area: Window): Effect.Effect<Uint8Array, E> =>
  Effect.suspend(() => {
    const content = new Uint8Array(area.length)
    return Effect.as(
      inPieces(device, area, (at, count) =>
        Effect.map(device.read(area.offset + BigInt(at), count), (bytes) =>
          content.set(bytes, at))),
      content
    )
  })

/** The actions in batches of which no two touch the same bytes, in their order. */
const apart = (actions: ReadonlyArray<Action>): ReadonlyArray<ReadonlyArray<Action>> => {
  const batches: Array<Array<Action>> = []
  for (const action of actions) {
    const last = batches.at(-1)
    const overlaps = last === undefined ||
      last.some((other) =>
        action.offset < other.offset + BigInt(other.length) &&
        other.offset < action.offset + BigInt(action.length)
      )
    if (overlaps) batches.push([action])
    else last.push(action)
  }
  return batches
}

const faultOfExtents = (extents: ReadonlyArray<Extent>, area: Window, content: Uint8Array): Verdict => {
  let at = area.offset
  let before: Extent | undefined
  for (const extent of extents) {
    if (extent.offset !== at || extent.length < 1n) return `an extent begins at ${extent.offset} and not at ${at}`
    if (before !== undefined && isAlike(before, extent)) {
      return `the extent at ${extent.offset} is like the one before it`
    }
    at = end(extent)
    before = extent
    if (at > area.offset + BigInt(area.length)) return `the extents go on to ${at}`
    const start = Number(extent.offset - area.offset)
    if (extent.zero && !isZero(content.subarray(start, start + Number(extent.length)))) {
      return `the extent at ${extent.offset} is said to be zero, and is not`
    }
  }
  return at === area.offset + BigInt(area.length) ? undefined : `the extents end at ${at}`
}

/** Requests that make no sense for the device, by what is wrong with them. */
const nonsense = <E>(device: BlockDevice<E>): ReadonlyArray<readonly [what: string, Effect.Effect<unknown, E>]> => {
  const { geometry: { maximum, minimum, readOnly }, size } = device
  const block = BigInt(minimum)
  const beyond = size - size % block + block
  const bytes = new Uint8Array(minimum)
  const found: Array<readonly [string, Effect.Effect<unknown, E>]> = [
    ["a read past the end", device.read(beyond - block, minimum * 2)],
    ["a read beyond the end", device.read(beyond, minimum)],
    ["a read before the start", device.read(-block, minimum)],
    ["a read of less than nothing", device.read(0n, -minimum)],
    ["a read of half a byte", device.read(0n, 0.5)]
  ]
  if (readOnly) found.push(["a write to a read-only device", device.write(0n, bytes)])
  else {
    found.push(["a write past the end", device.write(beyond - block, new Uint8Array(minimum * 2))])
    found.push(["a write beyond the end", device.write(beyond, bytes)])
  }
  if (minimum > 1 && size >= block) {
    found.push(["a read of a part of a block", device.read(0n, minimum - 1)])
    found.push(["a read from inside a block", device.read(1n, minimum)])
    if (!readOnly) found.push(["a write of a part of a block", device.write(0n, bytes.subarray(1))])
  }
  // Memory for a longer one is not taken where the maximum is no limit in practice.
  if (maximum < 67_108_864 && size > maximum) {
    found.push(["a read that is too long", device.readInto(0n, new Uint8Array(maximum + minimum))])
  }
  return found
}

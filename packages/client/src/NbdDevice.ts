/**
 * A connected handle as a block device.
 *
 * @since 0.1.0
 */
import type { BlockDevice } from "@effect-nbd/block/BlockDevice"
import { type Operation, RequestRefusedError } from "@effect-nbd/block/DeviceError"
import { type Extent, joined, rangeOf } from "@effect-nbd/block/Extent"
import * as Geometry from "@effect-nbd/block/Geometry"
import type * as Commands from "@effect-nbd/core/Commands"
import type { Export } from "@effect-nbd/core/Export"
import { flagsOf, type MappedExtent } from "@effect-nbd/core/Extents"
import type { Connected } from "@effect-nbd/core/Handle"
import type { HandleDeadError, ShutDownError } from "@effect-nbd/core/HandleError"
import * as MetaContext from "@effect-nbd/core/MetaContext"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/**
 * What can become of a request: it is refused before anything is sent, the server fails it, or the connection has ended.
 *
 * @since 0.1.0
 * @category errors
 */
export type NbdDeviceError =
  | RequestRefusedError
  | ShutDownError
  | HandleDeadError
  | Commands.ReadError
  | Commands.WriteError
  | Commands.FlushError
  | Commands.BlockStatusError

/**
 * The geometry of an export. What the server did not advertise is as the specification lets a client assume. Sizes above
 * 64 MiB, the longest read or write that a handle sends, count as 64 MiB.
 */
const geometryOf = (name: string, target: Export) => {
  const maximum = target.maximumPayload
  const preferred = Option.match(target.blockSize, {
    onNone: () => Math.max(Geometry.defaults.preferred, target.minimumBlockSize),
    onSome: ({ preferred }) => Math.min(preferred, maximum)
  })
  return Geometry.make({ name, size: target.size }, {
    minimum: target.minimumBlockSize,
    preferred,
    maximum,
    readOnly: target.isReadOnly,
    canTrim: target.canTrim,
    canZero: target.canWriteZeroes,
    canFastZero: target.canFastZero,
    canFlush: target.canFlush,
    canFua: target.canFua,
    canExtents: target.canMetaContext(MetaContext.baseAllocation),
    rotational: target.isRotational
  })
}

/** The longest zeroing or trim that is asked of the handle at once: a multiple of every block size, below 2^53. */
const longestEffect = 2n ** 52n

/** Runs `request` for a range of any length, a part after the other. */
const inParts = <E>(
  offset: bigint,
  length: bigint,
  request: (offset: bigint, length: bigint) => Effect.Effect<void, E>
): Effect.Effect<void, E> =>
  length <= longestEffect
    ? request(offset, length)
    : Effect.zipRight(
      request(offset, longestEffect),
      Effect.suspend(() => inParts(offset + longestEffect, length - longestEffect, request))
    )

const extentOf = (mapped: MappedExtent, contexts: ReadonlyArray<string>): Extent => {
  const { length, offset } = mapped
  const flags = flagsOf(mapped, MetaContext.baseAllocation)
  const meaning = MetaContext.decode(MetaContext.baseAllocation, flags ?? 0n)
  const hole = meaning._tag === "BaseAllocation" && meaning.hole
  const extent = { offset, length, allocated: !hole, zero: MetaContext.isZero(flags ?? 0n) }
  return contexts.length === 0
    ? extent
    : { ...extent, flags: Object.fromEntries(contexts.map((context) => [context, flagsOf(mapped, context) ?? 0n])) }
}

/**
 * The device that a connected handle has entered. It lives as long as the handle does: after that its requests fail with
 * `ShutDownError` or `HandleDeadError`.
 *
 * Reads and writes above `geometry.maximum`, which is 64 MiB or what the server takes, are refused. A zeroing or trim of any length is sent as as many
 * requests as the server needs; the first failure ends it.
 *
 * `extents` asks about `base:allocation` where the server has granted it, and says "allocated, may hold anything" where
 * it has not. A further context that was not granted is a `NoMetaContextError`: select it by `metaContexts` of the handle.
 *
 * Fails where the export is larger than 2^63 - 1 bytes, which no file and no device of a system can be.
 *
 * @example
 * import { Handle } from "@effect-nbd/core"
 * import { NbdDevice } from "@effect-nbd/client"
 * import * as Effect from "effect/Effect"
 *
 * // The first sector of the disk that the Transport leads to.
 * export const bootSector = Effect.scoped(
 *   Effect.gen(function*() {
 *     const device = yield* NbdDevice.of(yield* Handle.connect())
 *     return yield* device.read(0n, 512)
 *   })
 * )
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (
  connected: Connected
): Effect.Effect<BlockDevice<NbdDeviceError>, Geometry.GeometryError> => {
  const target = connected.export
  const { size } = target
  const name = target.name === "" ? connected.peer : `${JSON.stringify(target.name)} of ${connected.peer}`
  return Effect.map(geometryOf(name, target), (geometry): BlockDevice<NbdDeviceError> => {
    const { maximum } = geometry
    const refused = (
      operation: Operation,
      offset: bigint,
      length: number,
      why: "OutOfBounds" | "TooLong"
    ): RequestRefusedError => {
      const limit = why === "TooLong" ? BigInt(maximum) : size
      // What is no whole number has no length as one: it is too long.
      const bytes = BigInt(Number.isSafeInteger(length) ? length : Number.MAX_SAFE_INTEGER)
      return new RequestRefusedError({ device: name, operation, offset, length: bytes, why, limit })
    }

    /** A range of no bytes, which no server is asked about: nothing to do inside the device. */
    const nothing = <A>(operation: Operation, offset: bigint, result: A): Effect.Effect<A, RequestRefusedError> =>
      offset >= 0n && offset <= size ? Effect.succeed(result) : refused(operation, offset, 0, "OutOfBounds")

    return {
      name,
      size,
      geometry,
      read: (offset, length) =>
        length === 0
          ? nothing("read", offset, new Uint8Array(0))
          : length > maximum
          ? refused("read", offset, length, "TooLong")
          : connected.read(offset, length),
      readInto: (offset, destination) =>
        destination.byteLength === 0
          ? nothing("read", offset, undefined)
          : destination.byteLength > maximum
          ? refused("read", offset, destination.byteLength, "TooLong")
          : connected.readInto(offset, destination),
      readBorrowed: (offset, length, use) =>
        length === 0
          ? Effect.flatMap(nothing("read", offset, new Uint8Array(0)), use)
          : length > maximum
          ? refused("read", offset, length, "TooLong")
          : connected.readBorrowed(offset, length, use),
      write: (offset, bytes, options = {}) =>
        bytes.byteLength === 0
          ? nothing("write", offset, undefined)
          : bytes.byteLength > maximum
          ? refused("write", offset, bytes.byteLength, "TooLong")
          : connected.write(offset, bytes, { fua: options.fua === true }),
      writeZeroes: (offset, length, options = {}) =>
        length === 0n
          ? nothing("writeZeroes", offset, undefined)
          : inParts(offset, length, (offset, length) =>
            connected.writeZeroes(offset, length, {
              fua: options.fua === true,
              noHole: options.allocate === true,
              fastZero: options.fast === true
            })),
      trim: (offset, length, options = {}) =>
        length === 0n
          ? nothing("trim", offset, undefined)
          : inParts(offset, length, (offset, length) => connected.trim(offset, length, { fua: options.fua === true })),
      flush: connected.flush,
      extents: (options = {}) => {
        const range = rangeOf(size, options)
        const { contexts = [] } = options
        const asked = geometry.canExtents ? [MetaContext.baseAllocation, ...contexts] : contexts
        if (range.length === 0n) return Stream.empty
        if (asked.length === 0) return Stream.succeed({ ...range, allocated: true, zero: false })
        // A server may tell them apart by bits that have no meaning (C-119).
        return joined(
          Stream.map(connected.extents({ ...range, contexts: asked }), (extent) => extentOf(extent, contexts))
        )
      }
    }
  })
}

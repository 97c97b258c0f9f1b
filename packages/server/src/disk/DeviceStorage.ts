/**
 * Any block device behind an export, and what its errors are told as.
 *
 * @since 0.1.0
 */
import type { BlockDevice } from "@effect-nbd/block/BlockDevice"
import { DeviceError, RequestRefusedError } from "@effect-nbd/block/DeviceError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Failure } from "../Decider.ts"
import type { Storage } from "./Storage.ts"

/**
 * What a client is told of a device's error, without the device's name, which may be a path. An error that is no error of
 * `@effect-nbd/block` is EIO.
 *
 * @since 0.1.0
 * @category conversions
 */
export const failureOf = (error: unknown): Failure => {
  if (error instanceof DeviceError) return { errno: error.errno, message: error.reason ?? "" }
  if (!(error instanceof RequestRefusedError)) return { errno: "EIO", message: "the device failed" }
  switch (error.why) {
    case "ReadOnly":
      return { errno: "EPERM", message: "the device is read-only" }
    case "NotOffered":
      return { errno: "ENOTSUP", message: "the device does not offer this" }
    case "TooLong":
      return { errno: error.operation === "read" ? "EOVERFLOW" : "EINVAL", message: "too long for the device" }
    case "OutOfBounds":
      return { errno: "EINVAL", message: "past the end of the device" }
    case "Unaligned":
      return { errno: "EINVAL", message: "not aligned to the blocks of the device" }
  }
}

/** Most runs that are taken of one stream of extents: an answer may tell of less than was asked. */
const mostRuns = 65_537

/**
 * The functions that the device offers by its geometry.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofDevice = (
  device: BlockDevice<unknown>,
  { cache, failure = failureOf }: {
    readonly cache: ((offset: bigint, length: bigint) => Effect.Effect<void, unknown>) | undefined
    readonly failure: ((error: unknown) => Failure) | undefined
  }
): Storage => {
  const { geometry } = device
  const told = <A>(effect: Effect.Effect<A, unknown>): Effect.Effect<A, Failure> => Effect.mapError(effect, failure)
  return {
    read: (offset, length) =>
      Effect.flatMap(told(device.read(offset, length)), (bytes) =>
        bytes.byteLength === length
          ? Effect.succeed(bytes)
          : Effect.fail({ errno: "EIO", message: `the device gave ${bytes.byteLength} of ${length} bytes` })),
    write: geometry.readOnly ? undefined : (offset, bytes, fua) => told(device.write(offset, bytes, { fua })),
    flush: geometry.canFlush ? told(device.flush) : undefined,
    trim: geometry.canTrim ? (offset, length, fua) => told(device.trim(offset, length, { fua })) : undefined,
    writeZeroes: geometry.canZero
      ? (offset, length, { fastZero, noHole }, fua) =>
        told(device.writeZeroes(offset, length, { allocate: noHole, fast: fastZero, fua }))
      : undefined,
    cache: cache === undefined ? undefined : (offset, length) => told(cache(offset, length)),
    extents: geometry.canExtents
      ? (offset, length) => told(Stream.runCollect(Stream.take(device.extents({ offset, length }), mostRuns)))
      : undefined
  }
}

/**
 * Devices in memory, sparse: pages of 64 KiB are taken when they are written.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as BlockDevice from "./BlockDevice.ts"
import { DeviceError, type Operation, type RequestRefusedError } from "./DeviceError.ts"
import type { Extent } from "./Extent.ts"
import type { GeometryError } from "./Geometry.ts"
import { type Content, Pages, type Stretch } from "./Pages.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** In bytes, from 0 to 2^63 - 1. */
  readonly size: bigint
  /** `"memory"` by default. */
  readonly name?: string | undefined
  /** What is there before anything is written; zeroes by default. */
  readonly content?: Content | undefined
  /** Most bytes that may be allocated by writing; beyond it writes fail with ENOSPC. 4 GiB by default. */
  readonly capacity?: number | undefined
  /** A power of two in bytes, 1 by default. */
  readonly minimum?: number | undefined
  readonly preferred?: number | undefined
  readonly maximum?: number | undefined
}

/**
 * A device in memory. It offers everything, and requests are done at once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<BlockDevice.BlockDevice<DeviceError | RequestRefusedError>, GeometryError> => {
  const { capacity = 4_294_967_296, content, maximum, minimum, name = "memory", preferred, size } = options
  const pages = new Pages(size, content, capacity)

  /** Carries out what may find no room. */
  const withRoom = (
    operation: Operation,
    offset: bigint,
    length: bigint,
    change: () => "ENOSPC" | "ENOMEM" | undefined
  ): Effect.Effect<void, DeviceError> =>
    Effect.suspend(() => {
      const errno = change()
      return errno === undefined
        ? Effect.void
        : new DeviceError({ device: name, operation, offset, length, errno, reason: "its capacity is used up" })
    })

  return BlockDevice.fromFunctions<DeviceError>({
    name,
    size,
    minimum,
    preferred,
    maximum,
    canFua: true,
    canFastZero: true,
    readInto: (offset, destination) => Effect.sync(() => destination.set(pages.read(offset, destination.byteLength))),
    write: (offset, bytes) => withRoom("write", offset, BigInt(bytes.byteLength), () => pages.write(offset, bytes)),
    writeZeroes: (offset, length, { allocate = false }) =>
      withRoom("writeZeroes", offset, length, () => pages.zero(offset, length, allocate)),
    // A hint: where there is no room to remember a hole, it stays as it was.
    trim: (offset, length) => Effect.sync(() => void pages.zero(offset, length, false)),
    flush: Effect.void,
    extents: (offset, length) =>
      Stream.suspend(() => Stream.fromIterable([...extentsOf(pages.stretches(offset, length))]))
  })
}

/** Stretches that are alike to a reader become one extent. */
function* extentsOf(stretches: Iterable<Stretch>): Generator<Extent> {
  let last: Extent | undefined
  for (const { length, offset, state } of stretches) {
    const zero = state !== "Data" && state !== "Content"
    const allocated = !zero || state === "Zero"
    if (last?.zero === zero && last.allocated === allocated) last = { ...last, length: last.length + length }
    else {
      if (last !== undefined) yield last
      last = { offset, length, allocated, zero }
    }
  }
  if (last !== undefined) yield last
}

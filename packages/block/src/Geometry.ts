/**
 * What requests a device takes, and what it can do.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { TaggedError } from "./errors/TaggedError.ts"

/**
 * The sizes that requests are held to, in bytes, and the operations that a device offers.
 *
 * @since 0.1.0
 * @category models
 */
export interface Geometry {
  /** Offsets and lengths are multiples of it: a power of two. */
  readonly minimum: number
  /** Requests of multiples of it are fast: a power of two, at least `minimum`. */
  readonly preferred: number
  /** Longest read or write: a multiple of `minimum`, at least `preferred`. Zeroing and trimming have no such limit. */
  readonly maximum: number
  /** Nothing can be changed: then `canTrim`, `canZero`, `canFastZero` and `canFua` are `false`. */
  readonly readOnly: boolean
  /** `trim` is offered. */
  readonly canTrim: boolean
  /** `writeZeroes` is offered. */
  readonly canZero: boolean
  /** `writeZeroes` fails at once with ENOTSUP, if asked to be fast, where it would be as slow as writing. */
  readonly canFastZero: boolean
  /** `flush` is offered: what was written before may be in a cache until then. */
  readonly canFlush: boolean
  /** Single requests can be made durable before they are answered. */
  readonly canFua: boolean
  /** `extents` knows more than that everything may be data. */
  readonly canExtents: boolean
  /** Reading in order is faster than at random. */
  readonly rotational: boolean
}

/**
 * What a device has that says nothing else: blocks of 1 byte, 4096 preferred, 32 MiB at most, and no operation but reading
 * and writing. The sizes are those that the NBD specification lets a client assume.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaults: Geometry = {
  minimum: 1,
  preferred: 4096,
  maximum: 33_554_432,
  readOnly: false,
  canTrim: false,
  canZero: false,
  canFastZero: false,
  canFlush: false,
  canFua: false,
  canExtents: false,
  rotational: false
}

/**
 * The sizes contradict each other or the size of the device. Nothing was opened.
 *
 * @since 0.1.0
 * @category errors
 */
export class GeometryError extends TaggedError("NbdGeometryError")<{
  /** The device's name. */
  readonly device: string
  /** What does not hold, in words. */
  readonly reason: string
}> {
  override get message(): string {
    return `${this.device}: ${this.reason}`
  }
}

/** The largest size and the largest end of a request, in bytes: what a file offset of the system can say. */
export const maximumSize = 2n ** 63n - 1n

const isPowerOfTwo = (size: number): boolean => Number.isInteger(size) && size >= 1 && Math.log2(size) % 1 === 0

/** The first rule that sizes break, in words. */
const faultOf = (geometry: Geometry, size: bigint): string | undefined => {
  const { maximum, minimum, preferred } = geometry
  if (size < 0n || size > maximumSize) return `a size of ${size} bytes is not between 0 and 2^63 - 1`
  if (!isPowerOfTwo(minimum)) return `the minimum block size ${minimum} is no power of two`
  if (!isPowerOfTwo(preferred)) return `the preferred block size ${preferred} is no power of two`
  if (preferred < minimum) return `the preferred block size ${preferred} is below the minimum of ${minimum}`
  if (!Number.isSafeInteger(maximum) || maximum % minimum !== 0) {
    return `the maximum ${maximum} is no multiple of the minimum block size ${minimum}`
  }
  if (maximum < preferred) return `the maximum ${maximum} is below the preferred block size ${preferred}`
  return undefined
}

/**
 * A geometry with `defaults` for what is not given. On a read-only device nothing that changes it is offered.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  device: { readonly name: string; readonly size: bigint },
  given: Partial<Geometry> = {}
): Effect.Effect<Geometry, GeometryError> => {
  const all = { ...defaults, ...given }
  const changes = !all.readOnly
  const geometry: Geometry = {
    ...all,
    canTrim: all.canTrim && changes,
    canZero: all.canZero && changes,
    canFastZero: all.canFastZero && all.canZero && changes,
    canFua: all.canFua && changes
  }
  const reason = faultOf(geometry, device.size)
  return reason === undefined ? Effect.succeed(geometry) : new GeometryError({ device: device.name, reason })
}

/**
 * Bytes at offsets: the one thing that exports, files, memory and functions have in common, and that copies, backups and
 * servers are written for.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type Operation, RequestRefusedError } from "./DeviceError.ts"
import { type Extent, type ExtentsOptions, rangeOf } from "./Extent.ts"
import * as Geometry from "./Geometry.ts"

/**
 * Bytes in memory that no other thread shares: Web Crypto, `Blob` and `Response` take them.
 *
 * It is `Uint8Array<ArrayBuffer>`, put so that TypeScript before 5.7, whose `Uint8Array` has no parameter, reads it as
 * `Uint8Array`; there the other would be `any`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Bytes extends ReturnType<Uint8Array["slice"]> {}

/**
 * How a write, zeroing or trimming is carried out.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChangeOptions {
  /** It is durable before it is answered, as far as the device can promise that (`canFua`). `false` by default. */
  readonly fua?: boolean | undefined
}

/**
 * How zeroes are made.
 *
 * @since 0.1.0
 * @category models
 */
export interface ZeroOptions extends ChangeOptions {
  /** Storage stays allocated for the range: no hole. `false` by default. */
  readonly allocate?: boolean | undefined
  /** Fail at once with ENOTSUP where it would be as slow as writing (`canFastZero`). `false` by default. */
  readonly fast?: boolean | undefined
}

/**
 * Bytes at offsets, from 0 to `size`. Requests may overlap in time; what overlaps in place is done in any order. A request
 * that is interrupted may still be carried out.
 *
 * A range of no bytes is nothing to do, wherever it lies inside the device.
 *
 * @since 0.1.0
 * @category models
 */
export interface BlockDevice<out E = never> {
  /** In words, for errors and logs. */
  readonly name: string
  /** In bytes, from 0 to 2^63 - 1. It does not change. */
  readonly size: bigint
  readonly geometry: Geometry.Geometry
  /** The bytes are new memory, the caller's to keep. At most `geometry.maximum`. */
  readonly read: (offset: bigint, length: number) => Effect.Effect<Bytes, E>
  /** Fills `destination`, which nothing else may touch before it is done. */
  readonly readInto: (offset: bigint, destination: Uint8Array) => Effect.Effect<void, E>
  /** Lends the bytes to `use` while it runs; they are used again afterwards. The fastest way where bytes are not kept. */
  readonly readBorrowed: <A, E2, R>(
    offset: bigint,
    length: number,
    use: (bytes: Uint8Array) => Effect.Effect<A, E2, R>
  ) => Effect.Effect<A, E | E2, R>
  /** Writes all of `bytes`, which may not change before it is done. At most `geometry.maximum`. */
  readonly write: (offset: bigint, bytes: Uint8Array, options?: ChangeOptions) => Effect.Effect<void, E>
  /** Makes a range of any length read as zeroes, where `geometry.canZero`. */
  readonly writeZeroes: (offset: bigint, length: bigint, options?: ZeroOptions) => Effect.Effect<void, E>
  /** A range of any length is not needed any more, where `geometry.canTrim`. What it reads as then is not known. */
  readonly trim: (offset: bigint, length: bigint, options?: ChangeOptions) => Effect.Effect<void, E>
  /** Makes durable what was answered before, where `geometry.canFlush`. */
  readonly flush: Effect.Effect<void, E>
  /**
   * What is known of the content: extents in order, without gaps, and none that is like the one before it. What changes
   * while the stream is read may be told as it was or as it is.
   */
  readonly extents: (options?: ExtentsOptions) => Stream.Stream<Extent, E>
}

/**
 * The functions of a device. They are called with ranges that are inside the device, aligned, not empty and not too long.
 * What is absent is not offered: without `write` the device is read-only.
 *
 * @since 0.1.0
 * @category models
 */
export interface Functions<out E = never> {
  /** `"a device of functions"` by default. */
  readonly name?: string | undefined
  /** In bytes, from 0 to 2^63 - 1. */
  readonly size: bigint
  readonly minimum?: number | undefined
  readonly preferred?: number | undefined
  readonly maximum?: number | undefined
  readonly rotational?: boolean | undefined
  /** `writeZeroes` keeps the promise of `ZeroOptions.fast`. `false` by default. */
  readonly canFastZero?: boolean | undefined
  /** The functions that change something keep the promise of `ChangeOptions.fua`. By default `flush` is run after them. */
  readonly canFua?: boolean | undefined
  /** Fills all of `destination`. */
  readonly readInto: (offset: bigint, destination: Uint8Array) => Effect.Effect<void, E>
  /** Where the device has memory of its own to lend. By default memory is filled by `readInto`. */
  readonly readBorrowed?: BlockDevice<E>["readBorrowed"] | undefined
  readonly write?: ((offset: bigint, bytes: Uint8Array, options: ChangeOptions) => Effect.Effect<void, E>) | undefined
  readonly writeZeroes?:
    | ((offset: bigint, length: bigint, options: ZeroOptions) => Effect.Effect<void, E>)
    | undefined
  readonly trim?: ((offset: bigint, length: bigint, options: ChangeOptions) => Effect.Effect<void, E>) | undefined
  readonly flush?: Effect.Effect<void, E> | undefined
  /** Extents of a range that is not empty, as `BlockDevice.extents` tells them. */
  readonly extents?:
    | ((offset: bigint, length: bigint, contexts: ReadonlyArray<string>) => Stream.Stream<Extent, E>)
    | undefined
}

/** A length in whole bytes; what is none is out of bounds. */
const lengthOf = (length: number): bigint => Number.isSafeInteger(length) ? BigInt(length) : -1n

/** What a range is refused for, by size and geometry. */
const refusalOf = (
  device: { readonly name: string; readonly size: bigint; readonly geometry: Geometry.Geometry },
  operation: Operation,
  offset: bigint,
  length: bigint
): RequestRefusedError | undefined => {
  const { geometry, name, size } = device
  const refused = (why: RequestRefusedError["why"], limit?: bigint) =>
    new RequestRefusedError({ device: name, operation, offset, length, why, ...limit === undefined ? {} : { limit } })
  if (operation !== "read" && geometry.readOnly) return refused("ReadOnly")
  if (offset < 0n || length < 0n || offset + length > size) return refused("OutOfBounds", size)
  const minimum = BigInt(geometry.minimum)
  if (offset % minimum !== 0n || length % minimum !== 0n) return refused("Unaligned", minimum)
  const hasPayload = operation === "read" || operation === "write"
  return hasPayload && length > geometry.maximum ? refused("TooLong", BigInt(geometry.maximum)) : undefined
}

/**
 * A device of functions. It checks each request before a function is called.
 *
 * @example
 * import * as BlockDevice from "@effect-nbd/block/BlockDevice"
 * import * as Effect from "effect/Effect"
 *
 * // A disk of a TiB whose every byte tells the MiB that it is in.
 * export const numbered = BlockDevice.fromFunctions({
 *   size: 1n << 40n,
 *   minimum: 512,
 *   readInto: (offset, destination) =>
 *     Effect.sync(() => void destination.fill(Number((offset >> 20n) & 0xffn)))
 * })
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromFunctions = <E>(
  functions: Functions<E>
): Effect.Effect<BlockDevice<E | RequestRefusedError>, Geometry.GeometryError> => {
  const { name = "a device of functions", size } = functions
  const { flush, trim, write, writeZeroes } = functions
  const given: Partial<Geometry.Geometry> = {
    minimum: functions.minimum ?? 1,
    preferred: functions.preferred ?? Math.max(Geometry.defaults.preferred, functions.minimum ?? 1),
    maximum: functions.maximum ?? Geometry.defaults.maximum,
    rotational: functions.rotational ?? false,
    readOnly: write === undefined,
    canTrim: trim !== undefined,
    canZero: writeZeroes !== undefined,
    canFastZero: functions.canFastZero ?? false,
    canFlush: flush !== undefined,
    canFua: functions.canFua ?? flush !== undefined,
    canExtents: functions.extents !== undefined
  }
  return Effect.map(Geometry.make({ name, size }, given), (geometry) => {
    const device = { name, size, geometry }

    /** Runs `request` for a range that is not empty, after the checks. */
    const checked = <A, E2, R>(
      operation: Operation,
      offset: bigint,
      length: bigint,
      empty: A,
      request: () => Effect.Effect<A, E2, R>
    ): Effect.Effect<A, E2 | RequestRefusedError, R> =>
      Effect.suspend((): Effect.Effect<A, E2 | RequestRefusedError, R> => {
        const refusal = refusalOf(device, operation, offset, length)
        return refusal !== undefined ? refusal : length === 0n ? Effect.succeed(empty) : request()
      })

    const notOffered = (operation: Operation, offset: bigint, length: bigint) =>
      new RequestRefusedError({ device: name, operation, offset, length, why: "NotOffered" })

    /** A change that is durable before it is answered, where that was asked for. */
    const change = (
      operation: Operation,
      offset: bigint,
      length: bigint,
      options: ZeroOptions,
      request: (() => Effect.Effect<void, E>) | undefined
    ): Effect.Effect<void, E | RequestRefusedError> =>
      checked(operation, offset, length, undefined, (): Effect.Effect<void, E | RequestRefusedError> => {
        if (request === undefined) return notOffered(operation, offset, length)
        if (options.fua === true && !geometry.canFua) return notOffered(operation, offset, length)
        if (options.fast === true && !geometry.canFastZero) return notOffered(operation, offset, length)
        return options.fua === true && functions.canFua !== true && flush !== undefined
          ? Effect.zipRight(request(), flush)
          : request()
      })

    const readInto = (offset: bigint, destination: Uint8Array): Effect.Effect<void, E | RequestRefusedError> =>
      checked(
        "read",
        offset,
        BigInt(destination.byteLength),
        undefined,
        () => functions.readInto(offset, destination)
      )

    const lend = functions.readBorrowed ?? lending(functions.readInto)

    return {
      ...device,
      read: (offset, length) =>
        checked("read", offset, lengthOf(length), new Uint8Array(0), () => {
          const bytes = new Uint8Array(length)
          return Effect.as(functions.readInto(offset, bytes), bytes)
        }),
      readInto,
      readBorrowed: <A, E2, R>(
        offset: bigint,
        length: number,
        use: (bytes: Uint8Array) => Effect.Effect<A, E2, R>
      ): Effect.Effect<A, E | E2 | RequestRefusedError, R> =>
        Effect.suspend((): Effect.Effect<A, E | E2 | RequestRefusedError, R> => {
          const refusal = refusalOf(device, "read", offset, lengthOf(length))
          if (refusal !== undefined) return refusal
          return length === 0 ? use(new Uint8Array(0)) : lend(offset, length, use)
        }),
      write: (offset, bytes, options = {}) =>
        change(
          "write",
          offset,
          BigInt(bytes.byteLength),
          options,
          write === undefined ? undefined : () => write(offset, bytes, options)
        ),
      writeZeroes: (offset, length, options = {}) =>
        change(
          "writeZeroes",
          offset,
          length,
          options,
          writeZeroes === undefined ? undefined : () => writeZeroes(offset, length, options)
        ),
      trim: (offset, length, options = {}) =>
        change("trim", offset, length, options, trim === undefined ? undefined : () => trim(offset, length, options)),
      flush: flush ?? Effect.suspend(() => notOffered("flush", 0n, 0n)),
      extents: (options = {}) => {
        const { length, offset } = rangeOf(size, options)
        if (length === 0n) return Stream.empty
        return functions.extents === undefined
          ? Stream.succeed({ offset, length, allocated: true, zero: false })
          : functions.extents(offset, length, options.contexts ?? [])
      }
    }
  })
}

/**
 * How a device reads that fills memory: what was lent is filled again, the latest first, so that it is still in the
 * processor's cache. Memory that an interrupted or failed request may still fill is not used again.
 */
const lending = <E>(
  readInto: (offset: bigint, destination: Uint8Array) => Effect.Effect<void, E>
): BlockDevice<E>["readBorrowed"] => {
  const idle: Array<Uint8Array> = []
  return (offset, length, use) =>
    Effect.suspend(() => {
      const last = idle.pop()
      const memory = last !== undefined && last.byteLength >= length ? last : new Uint8Array(length)
      const bytes = memory.subarray(0, length)
      // `use` may look at the bytes before it gives an effect.
      return Effect.flatMap(readInto(offset, bytes), () => use(bytes)).pipe(
        Effect.map((result) => {
          if (idle.length < maximumIdle) idle.push(memory)
          return result
        })
      )
    })
}

/** Pieces of memory that a device keeps for the next reads: more would be kept by a burst of reads for ever. */
const maximumIdle = 32

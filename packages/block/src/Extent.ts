/**
 * Runs of bytes that are alike.
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import * as Stream from "effect/Stream"

/**
 * A run of bytes, and what is known of it. Where nothing is known it is allocated and may hold anything.
 *
 * @since 0.1.0
 * @category models
 */
export interface Extent {
  /** From the start of the device, in bytes. */
  readonly offset: bigint
  /** In bytes, at least 1. */
  readonly length: bigint
  /** Storage is taken for it. What is not allocated need not read as zeroes. */
  readonly allocated: boolean
  /** It is known to read as zeroes. Where it is not known, it may be zeroes too. */
  readonly zero: boolean
  /** What further contexts say of it, by the name of the context; absent where none were asked for. */
  readonly flags?: Readonly<Record<string, bigint>>
}

/**
 * The part of a device that is asked about.
 *
 * @since 0.1.0
 * @category models
 */
export interface ExtentsOptions {
  /** Where to begin, in bytes; 0 by default. What lies outside the device is left out. */
  readonly offset?: bigint | undefined
  /** How many bytes; up to the end of the device by default. */
  readonly length?: bigint | undefined
  /** Contexts to ask about beside allocation, by name, such as a dirty bitmap; none by default. */
  readonly contexts?: ReadonlyArray<string> | undefined
}

/**
 * The end of an extent: where the next one begins.
 *
 * @since 0.1.0
 * @category getters
 */
export const end = ({ length, offset }: Extent): bigint => offset + length

/**
 * Whether two extents say the same, wherever they are.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isAlike = (self: Extent, that: Extent): boolean =>
  self.allocated === that.allocated && self.zero === that.zero && haveSameFlags(self.flags ?? {}, that.flags ?? {})

const haveSameFlags = (self: Readonly<Record<string, bigint>>, that: Readonly<Record<string, bigint>>): boolean => {
  const names = Object.keys(self)
  return names.length === Object.keys(that).length && names.every((name) => self[name] === that[name])
}

/**
 * Extents in order and without gaps, with neighbours that are alike made one. Each is held back until the next one is known
 * to differ.
 *
 * @since 0.1.0
 * @category combinators
 */
export const joined = <E>(extents: Stream.Stream<Extent, E>): Stream.Stream<Extent, E> =>
  Stream.suspend(() => {
    let held: Extent | undefined
    const joining = Stream.mapChunks(extents, (chunk) => {
      const finished: Array<Extent> = []
      for (const extent of chunk) {
        if (held !== undefined && isAlike(held, extent)) held = { ...held, length: held.length + extent.length }
        else {
          if (held !== undefined) finished.push(held)
          held = extent
        }
      }
      return Chunk.unsafeFromArray(finished)
    })
    return Stream.concat(joining, Stream.suspend(() => held === undefined ? Stream.empty : Stream.succeed(held)))
  })

/**
 * The range that options mean on a device of `size` bytes, cut to it.
 *
 * @since 0.1.0
 * @category getters
 */
export const rangeOf = (
  size: bigint,
  { length, offset = 0n }: ExtentsOptions
): { readonly offset: bigint; readonly length: bigint } => {
  const start = offset < 0n ? 0n : offset > size ? size : offset
  const left = size - start
  return { offset: start, length: length === undefined || length > left ? left : length < 0n ? 0n : length }
}

/**
 * Meta contexts: what the flags of an extent mean.
 *
 * @since 0.1.0
 */

/**
 * Whether bytes are allocated, and whether they read as zeroes (specification, "Metadata querying").
 *
 * @since 0.1.0
 * @category constants
 */
export const baseAllocation = "base:allocation"

/**
 * How deep in a chain of images bytes are found, in qemu's servers.
 *
 * @since 0.1.0
 * @category constants
 */
export const qemuAllocationDepth = "qemu:allocation-depth"

const dirtyBitmapPrefix = "qemu:dirty-bitmap:"

/**
 * The context of a dirty bitmap of qemu's: which bytes were written since it began.
 *
 * @since 0.1.0
 * @category constructors
 */
export const qemuDirtyBitmap = (bitmap: string): string => `${dirtyBitmapPrefix}${bitmap}`

/**
 * Flags, told by their context.
 *
 * - `BaseAllocation`: `zero` alone lets a reader skip the bytes. `hole` says that nothing is allocated for them, and
 *   nothing about what they read as (C-120).
 * - `DirtyBitmap`: written since `bitmap` began.
 * - `AllocationDepth`: 0 where nothing in the chain has the bytes, 1 where the image itself does, then its backing files.
 * - `Unknown`: another context's, left as they came.
 *
 * @since 0.1.0
 * @category models
 */
export type Meaning =
  | { readonly _tag: "BaseAllocation"; readonly hole: boolean; readonly zero: boolean }
  | { readonly _tag: "DirtyBitmap"; readonly bitmap: string; readonly dirty: boolean }
  | { readonly _tag: "AllocationDepth"; readonly depth: bigint }
  | { readonly _tag: "Unknown"; readonly context: string; readonly flags: bigint }

/**
 * Bits without a meaning are ignored (C-119).
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode = (context: string, flags: bigint): Meaning => {
  if (context === baseAllocation) return { _tag: "BaseAllocation", hole: (flags & 1n) !== 0n, zero: isZero(flags) }
  if (context === qemuAllocationDepth) return { _tag: "AllocationDepth", depth: flags }
  if (context.startsWith(dirtyBitmapPrefix)) {
    return { _tag: "DirtyBitmap", bitmap: context.slice(dirtyBitmapPrefix.length), dirty: (flags & 1n) !== 0n }
  }
  return { _tag: "Unknown", context, flags }
}

/**
 * Flags of `base:allocation` that say that the bytes read as zeroes.
 *
 * @since 0.1.0
 * @category guards
 */
export const isZero = (flags: bigint): boolean => (flags & 2n) !== 0n

/**
 * The flags that claim nothing: what may be said of bytes that a server cannot be asked about. Allocated and of unknown
 * content, dirty, present in the image itself; and for other contexts the given flags, those of their neighbours.
 *
 * @since 0.1.0
 * @category constants
 */
export const cautiousFlags = (context: string, neighbours: bigint): bigint => {
  if (context === baseAllocation) return 0n
  if (context === qemuAllocationDepth || context.startsWith(dirtyBitmapPrefix)) return 1n
  return neighbours
}

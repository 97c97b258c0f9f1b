/**
 * Finds the blocks of zeroes in what was read.
 *
 * @since 0.1.0
 */

/**
 * Bytes from `start` up to `end`, all of them zeroes or not.
 *
 * @since 0.1.0
 * @category models
 */
export interface Run {
  readonly start: number
  readonly end: number
  readonly zero: boolean
}

/**
 * The runs of whole blocks of zeroes, and what is between them; what is left at the end counts as a block. `undefined`
 * if there are no zeroes at all.
 *
 * One word of a block tells in nearly all cases that it is data: 4 GiB of random bytes cost some milliseconds.
 *
 * @since 0.1.0
 * @category constructors
 */
export const find = (bytes: Uint8Array, block: number): ReadonlyArray<Run> | undefined => {
  const { byteLength } = bytes
  if (isZero(bytes, 0, byteLength)) return byteLength === 0 ? undefined : [{ start: 0, end: byteLength, zero: true }]
  let start = 0
  let zero = false
  let runs: Array<Run> | undefined
  for (let at = 0; at < byteLength; at += block) {
    if (isZero(bytes, at, Math.min(at + block, byteLength)) === zero) continue
    if (at > start) (runs ??= []).push({ start, end: at, zero })
    start = at
    zero = !zero
  }
  if (start === 0 && !zero) return undefined
  return [...runs ?? [], { start, end: byteLength, zero }]
}

/** What is compared with, as far as it reaches at once. */
const zeroes = Buffer.alloc(65_536)

const isZero = (bytes: Uint8Array, start: number, end: number): boolean => {
  if (bytes[start] !== 0 || bytes[end - 1] !== 0) return false
  for (let at = start; at < end; at += zeroes.byteLength) {
    const next = Math.min(at + zeroes.byteLength, end)
    if (zeroes.compare(bytes, at, next, 0, next - at) !== 0) return false
  }
  return true
}

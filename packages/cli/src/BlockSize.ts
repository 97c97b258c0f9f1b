/**
 * Block size constraints as people write them: minimum, preferred and maximum, `512,4K,32M`.
 *
 * @since 0.1.0
 */
import type { BlockSize } from "@effect-nbd/server/ServedExport"
import * as Size from "./Size.ts"

/**
 * The sizes, or what is wrong with them. What is left out has the specification's defaults.
 *
 * @since 0.1.0
 * @category decoding
 */
export const parse = (text: string): BlockSize | string => {
  const parts = text.split(",").map((part) => Number(Size.parse(part) ?? Number.NaN))
  const [minimum = 1, preferred = Math.max(minimum, 4096), maximum = 33_554_432, ...others] = parts
  if (others.length > 0 || parts.some(Number.isNaN)) return "not sizes, such as 512,4K,32M"
  if (!isPowerOfTwo(minimum) || minimum > 65_536) return "the minimum has to be a power of two, up to 64K"
  if (!isPowerOfTwo(preferred) || preferred < Math.max(minimum, 512)) {
    return "the preferred size has to be a power of two, at least 512 and the minimum"
  }
  return maximum >= preferred && maximum <= 0xffff_ffff && maximum % minimum === 0
    ? { minimum, preferred, maximum }
    : "the maximum has to be a multiple of the minimum, at least the preferred size, and below 4G"
}

const isPowerOfTwo = (size: number): boolean => size > 0 && Number.isInteger(Math.log2(size))

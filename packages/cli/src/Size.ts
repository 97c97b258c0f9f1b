/**
 * Sizes in bytes as people read and write them. A unit letter is a power of 1024.
 *
 * @since 0.1.0
 */

const units = ["", "K", "M", "G", "T", "P", "E"] as const

/**
 * A size such as `65536`, `64K`, `1.5G`, `10MiB` or `1 GiB`, in either case; `undefined` for anything else, and for a
 * size that is not a whole number of bytes below 2^64.
 *
 * @since 0.1.0
 * @category decoding
 */
export const parse = (text: string): bigint | undefined => {
  const match = /^([0-9]{1,20})(?:\.([0-9]{1,18}))? ?([KMGTPE]?)(?:I?B)?$/i.exec(text)
  if (match === null) return undefined
  const [, whole = "", fraction = "", letter = ""] = match
  const unit = 1024n ** BigInt(units.findIndex((unit) => unit === letter.toUpperCase()))
  const scale = 10n ** BigInt(fraction.length)
  const bytes = BigInt(whole + fraction) * unit
  return bytes % scale === 0n && bytes / scale < 1n << 64n ? bytes / scale : undefined
}

/**
 * The shortest exact form, as nbdinfo prints it: `1M`, `1025M`, `1049601`.
 *
 * @since 0.1.0
 * @category encoding
 */
export const exact = (bytes: bigint): string => {
  let count = bytes
  let unit = 0
  while (count !== 0n && count % 1024n === 0n && unit < units.length - 1) {
    count /= 1024n
    unit++
  }
  return `${count}${units[unit] ?? ""}`
}

/**
 * Rounded to three digits or so: `17 bytes`, `1.5 GiB`.
 *
 * @since 0.1.0
 * @category encoding
 */
export const rounded = (bytes: bigint | number): string => {
  let count = Number(bytes)
  let unit = 0
  while (count >= (unit === 0 ? 1024 : 1000) && unit < units.length - 1) {
    count /= 1024
    unit++
  }
  const letter = units[unit] ?? ""
  if (letter === "") return `${Math.round(count)} byte${Math.round(count) === 1 ? "" : "s"}`
  const digits = count < 10 ? 2 : count < 100 ? 1 : 0
  return `${Number(count.toFixed(digits))} ${letter}iB`
}

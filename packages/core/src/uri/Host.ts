/**
 * The host of a URI: names are percent-encoded, IPv6 addresses stand in brackets, with their zone where they have one.
 *
 * @since 0.1.0
 */

/**
 * As net.isIPv6 of Node, without a zone; in time linear to the length.
 *
 * @since 0.1.0
 * @category validation
 */
export const isIPv6 = (text: string): boolean => {
  if (text.length > 45) return false
  const [head = "", tail, more] = text.split("::")
  if (more !== undefined) return false
  const before = groups(head, tail === undefined)
  const after = tail === undefined ? 0 : groups(tail, true)
  if (before === undefined || after === undefined) return false
  return tail === undefined ? before === 8 : before + after <= 7
}

/** How many groups of 16 bits the text holds. An IPv4 address stands for the last two. */
const groups = (text: string, last: boolean): number | undefined => {
  if (text === "") return 0
  const parts = text.split(":")
  const hasIPv4 = last && isIPv4(parts.at(-1) ?? "")
  const words = hasIPv4 ? parts.slice(0, -1) : parts
  return words.every((word) => /^[0-9A-Fa-f]{1,4}$/.test(word)) ? words.length + (hasIPv4 ? 2 : 0) : undefined
}

const isIPv4 = (text: string): boolean => {
  const bytes = text.split(".")
  return bytes.length === 4 && bytes.every((byte) => /^(?:0|[1-9][0-9]{0,2})$/.test(byte) && Number(byte) <= 255)
}

/**
 * What stands between the brackets of a literal, still encoded, as a host; `undefined` if it is not an IPv6 address.
 *
 * @since 0.1.0
 * @category decoding
 */
export const ofLiteral = (literal: string, decode: (text: string) => string | undefined): string | undefined => {
  const percent = literal.indexOf("%")
  if (percent === -1) return isIPv6(literal) ? literal : undefined
  const zone = literal.startsWith("%25", percent) ? decode(literal.slice(percent + 3)) : undefined
  const address = literal.slice(0, percent)
  return zone === undefined || zone === "" || !isIPv6(address) ? undefined : `${address}%${zone}`
}

/**
 * @since 0.1.0
 * @category encoding
 */
export const format = (host: string, encode: (text: string) => string): string => {
  if (isIPv6(host)) return `[${host}]`
  const percent = host.indexOf("%")
  const address = host.slice(0, Math.max(0, percent))
  const zone = host.slice(percent + 1)
  return zone !== "" && isIPv6(address) ? `[${address}%25${encode(zone)}]` : encode(host)
}

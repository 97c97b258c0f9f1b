/**
 * Bytes and text as the protocol has them: big-endian fields, UTF-8 strings of at most 4096 bytes.
 *
 * @since 0.1.0
 */

/**
 * A big-endian window on the bytes. Callers check lengths before they read: a `DataView` throws outside its bounds.
 *
 * @since 0.1.0
 * @category constructors
 */
export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/**
 * @since 0.1.0
 * @category constructors
 */
export const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  let length = 0
  for (const part of parts) length += part.byteLength
  const joined = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.byteLength
  }
  return joined
}

/**
 * Longest string either side may send, in bytes (C-003).
 *
 * @since 0.1.0
 * @category constants
 */
export const maxStringBytes = 4096

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/**
 * @since 0.1.0
 * @category encoding
 */
export const encodeText = (text: string): Uint8Array => encoder.encode(text)

/**
 * Bytes that are not UTF-8 become U+FFFD: a server's text is for display and must never stop a handshake (H-019).
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeText = (bytes: Uint8Array): string => decoder.decode(bytes)

/**
 * A server's text, made safe to print: control characters, those that steer a terminal among them, become `\xNN`
 * or `\uNNNN`.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeDisplayText = (bytes: Uint8Array): string =>
  decodeText(bytes).replace(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, (char) => char === "\t" ? char : escaped(char))

const escaped = (char: string): string => {
  const code = char.charCodeAt(0)
  return code > 0xff ? `\\u${code.toString(16).padStart(4, "0")}` : `\\x${code.toString(16).padStart(2, "0")}`
}

/**
 * What is asked of every decoder: the whole message, every truncation refused, and what follows it left alone.
 */
import { isWireError, WireError } from "@effect-nbd/core/wire/WireError"
import { expect } from "@effect/vitest"

type Decoder<A> = (bytes: Uint8Array) => A | WireError

/** Each length shorter than the message is refused, and the refusal says how many bytes there were. */
export const refusesEveryTruncation = <A>(decode: Decoder<A>, message: Uint8Array): void => {
  expect(isWireError(decode(message))).toBe(false)
  for (let length = 0; length < message.byteLength; length++) {
    const refusal = decode(message.subarray(0, length))
    expect(refusal, `${length} bytes`).toBeInstanceOf(WireError)
  }
}

/** One byte too many is as wrong as one too few. */
export const refusesTrailingBytes = <A>(decode: Decoder<A>, message: Uint8Array): void => {
  const longer = new Uint8Array(message.byteLength + 1)
  longer.set(message)
  expect(decode(longer)).toBeInstanceOf(WireError)
}

/** The message is found wherever it lies in a larger buffer, and the bytes around it change nothing. */
export const decodesInPlace = <A>(decode: Decoder<A>, message: Uint8Array): void => {
  const buffer = new Uint8Array(message.byteLength + 7).fill(0xdb)
  buffer.set(message, 3)
  expect(decode(buffer.subarray(3, 3 + message.byteLength))).toStrictEqual(decode(message.slice()))
}

/** Asserts that it is a refusal, with what it says. */
export const refusal = (
  u: unknown
): { readonly expected: string; readonly received: string; readonly rule: string } => {
  if (!isWireError(u)) {
    throw new Error(`decoded to ${JSON.stringify(u, (_, value) => typeof value === "bigint" ? String(value) : value)}`)
  }
  return { expected: u.expected, received: u.received, rule: u.rule }
}

/**
 * The fields that messages are made of.
 *
 * @since 0.1.0
 */
import { decodeDisplayText, encodeText, maxStringBytes } from "@effect-nbd/core/wire/Bytes"
import * as FastCheck from "effect/FastCheck"

/**
 * 16 bits, small numbers more often than others.
 *
 * @since 0.1.0
 * @category constructors
 */
export const u16: FastCheck.Arbitrary<number> = FastCheck.integer({ min: 0, max: 0xffff })

/**
 * 32 bits.
 *
 * @since 0.1.0
 * @category constructors
 */
export const u32: FastCheck.Arbitrary<number> = FastCheck.integer({ min: 0, max: 0xffff_ffff })

/**
 * 64 bits.
 *
 * @since 0.1.0
 * @category constructors
 */
export const u64: FastCheck.Arbitrary<bigint> = FastCheck.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn })

/**
 * What the client counts cookies and lengths in: up to 2^53 - 1.
 *
 * @since 0.1.0
 * @category constructors
 */
export const exact: FastCheck.Arbitrary<bigint> = FastCheck.maxSafeNat().map(BigInt)

const surrogates = { first: 0xd800, count: 0x800 }

/**
 * Any code point but surrogates. It is what FastCheck's unit "binary" is, which makes a table of them all on import: that
 * takes a second.
 */
const character = FastCheck.nat({ max: 0x10ffff - surrogates.count }).map(
  (index) => String.fromCodePoint(index < surrogates.first ? index : index + surrogates.count),
  (text) => {
    const code = typeof text === "string" ? text.codePointAt(0) : undefined
    if (code === undefined || text !== String.fromCodePoint(code)) throw new TypeError("not one character")
    if (code < surrogates.first) return code
    if (code < surrogates.first + surrogates.count) throw new TypeError("a surrogate")
    return code - surrogates.count
  }
)

/**
 * Unicode of at most `maxBytes` bytes of UTF-8, by default the 4096 that a string of the protocol may have (C-003).
 *
 * @since 0.1.0
 * @category constructors
 */
export const text = (maxBytes: number = maxStringBytes): FastCheck.Arbitrary<string> =>
  FastCheck.string({ unit: character, maxLength: Math.floor(maxBytes / 4) })

/**
 * Text that is shown as it came: without characters that steer a terminal. At most 256 characters.
 *
 * @since 0.1.0
 * @category constructors
 */
export const displayText: FastCheck.Arbitrary<string> = FastCheck.string({ unit: "grapheme", maxLength: 256 }).filter(
  (shown) => decodeDisplayText(encodeText(shown)) === shown
)

/**
 * Some of the bits that a table of flags has, and now and then any bits at all, up to `max`. It shrinks towards none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const flagsOf = (table: object, max: number): FastCheck.Arbitrary<number> =>
  FastCheck.oneof(
    {
      weight: 4,
      arbitrary: FastCheck.subarray(bitsOf(table)).map((bits) => bits.reduce((flags, bit) => flags | bit, 0))
    },
    { weight: 1, arbitrary: FastCheck.integer({ min: 0, max }) }
  )

/** A table of flags is a brand's constructor too, with functions beside the bits. */
const bitsOf = (table: object): Array<number> =>
  Object.values(table).filter((value: unknown): value is number => typeof value === "number")

/**
 * Bytes of no meaning, few or more than any message has.
 *
 * @since 0.1.0
 * @category constructors
 */
export const anyBytes: FastCheck.Arbitrary<Uint8Array> = FastCheck.oneof(
  FastCheck.uint8Array({ maxLength: 64 }),
  FastCheck.uint8Array({ minLength: 130, maxLength: 5000 })
)

/**
 * A value, or nothing.
 *
 * @since 0.1.0
 * @category constructors
 */
export const optional = <A>(values: FastCheck.Arbitrary<A>): FastCheck.Arbitrary<A | undefined> =>
  FastCheck.option(values, { nil: undefined })

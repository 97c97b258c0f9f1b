/**
 * Zeroes for what can only write them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Turns from "./Turns.ts"

/** Longest write, in bytes. */
const longest = 1_048_576

/**
 * The `zero` of a sink or a disk: writes zeroes, `maximum` bytes at a time at most.
 *
 * @since 0.1.0
 * @category constructors
 */
export const by = <E>(
  write: (offset: bigint, bytes: Uint8Array) => Effect.Effect<void, E>,
  maximum = longest
): (offset: bigint, length: bigint) => Effect.Effect<void, E> => {
  let zeroes: Uint8Array | undefined
  return (offset, length) =>
    Effect.suspend(() => {
      const buffer = zeroes ??= new Uint8Array(Math.min(maximum, longest))
      const end = offset + length
      let at = offset
      return Effect.whileLoop({
        while: () => at < end,
        body: () =>
          Turns.fair(() => {
            const left = end - at
            const bytes = left < BigInt(buffer.byteLength) ? buffer.subarray(0, Number(left)) : buffer
            const written = write(at, bytes)
            at += BigInt(bytes.byteLength)
            return written
          }),
        step: () => {}
      })
    })
}

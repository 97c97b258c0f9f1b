/**
 * How far a copy has come, for programs: lines of `N/100` to a descriptor, as nbdcopy has them, each once.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"

/**
 * Runs `body` and tells of it. `body` is given a function to be called with the number of bytes that were done since the
 * last call. Of an unknown total only the end can be told. A reader that has gone is nobody's concern, and one that does not
 * read does not hold up the copy.
 *
 * @since 0.1.0
 * @category printing
 */
export const to = <A, E, R>(
  fd: number,
  total: bigint | undefined,
  body: (advance: (bytes: number) => void) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const stream = fs.createWriteStream("", { fd, autoClose: false }).on("error", () => {})
    let done = 0n
    let told = -1
    const tell = (percent: number): void => {
      if (percent > told) stream.write(`${percent}/100\n`)
      told = Math.max(told, percent)
    }
    if (total !== undefined) tell(0)
    const result = yield* body((bytes) => {
      done += BigInt(bytes)
      // The last one is for the end: to be durable may take as long again.
      if (total !== undefined && total > 0n) tell(Math.min(99, Number(done * 100n / total)))
    })
    tell(100)
    yield* Effect.async<void>((resume) => {
      stream.end(() => resume(Effect.void))
    })
    return result
  })

/**
 * One thread for the calls that read and write files, where Node has four.
 *
 * The system lets one writer at a time into a file, and has the others spin for it. On two processors a copy of 2 GiB to a
 * file in memory takes 1.6 s with one thread and 1.85 s with four, and 1.8 instead of 2.1 s of processor time (medians of
 * four). To take turns in this program is slower than either, since the next call has to be there when one is done.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"

const setting = "UV_THREADPOOL_SIZE"

/**
 * To be run before anything else uses Node's pool of threads, which has the size it began with. Nothing changes where the
 * size is set already, and children are not told.
 *
 * @since 0.1.0
 * @category constructors
 */
export const only: Effect.Effect<void> = Effect.sync(() => {
  if (process.env[setting] !== undefined) return
  process.env[setting] = "1"
  // The first call makes the pool.
  fs.stat("/", () => {})
  delete process.env[setting]
})

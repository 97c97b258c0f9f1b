/**
 * Exports that keep nothing of what is written to them, as disks for tests may: their content tells nothing of the rules.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { type Check, ContentError, expectBytes, pattern, RuleError, skipped, type Target } from "./Check.ts"
import { ask, content } from "./server/Asking.ts"
import { expectDone } from "./server/Judge.ts"
import { enter } from "./server/Talk.ts"

/** A block that is written is read back, by simple replies and on one connection; where that cannot be seen, it is taken to be so. */
const keeps = (target: Target) =>
  Effect.gen(function*() {
    const talk = yield* enter(target)
    const payload = pattern(0n, talk.block, 97)
    yield* expectDone("WRITE", yield* ask(talk, "WRITE", { payload }))
    const read = yield* content(talk, { length: talk.block })
    return yield* Effect.match(expectBytes("read", read, payload), { onSuccess: () => true, onFailure: () => false })
  }).pipe(Effect.scoped, Effect.orElseSucceed(() => true))

/**
 * Skips those checks that found other bytes than were written, where the export keeps none. That is looked at when a check's
 * own connections are closed, since some servers have one client at a time, and once, since a server may be gone later.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unlessForgotten = (target: Target): (check: Check) => Check => {
  let forgets = false
  const looked = Effect.suspend(() => forgets ? Effect.succeed(false) : keeps(target)).pipe(
    Effect.tap((keeps) =>
      Effect.sync(() => {
        forgets = !keeps
      })
    )
  )
  return (check) => ({
    ...check,
    run: Effect.catchAll(Effect.scoped(check.run), (error): Check["run"] => {
      const bytes = error instanceof RuleError ? error.error : error
      if (!(bytes instanceof ContentError)) return Effect.fail(error)
      const found = error instanceof RuleError ? new RuleError({ rules: error.rules, error: bytes.error }) : bytes.error
      return Effect.flatMap(
        looked,
        (keeps) => keeps ? Effect.fail(found) : skipped("the export does not keep what is written")
      )
    })
  })
}

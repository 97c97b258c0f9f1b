/**
 * Exports that do not store what is written to them, as some test disks do: their content does not show whether rules
 * are broken.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { type Check, ContentError, expectBytes, pattern, RuleError, skipped, type Target } from "./Check.ts"
import { ask, content } from "./server/Asking.ts"
import { expectDone } from "./server/Judge.ts"
import { enter } from "./server/Talk.ts"

/**
 * Whether a written block can be read back, with simple replies and on one connection. If this cannot be tested, it is
 * assumed.
 */
const keeps = (target: Target) =>
  Effect.gen(function*() {
    const talk = yield* enter(target)
    const payload = pattern(0n, talk.block, 97)
    yield* expectDone("WRITE", yield* ask(talk, "WRITE", { payload }))
    const read = yield* content(talk, { length: talk.block })
    return yield* Effect.match(expectBytes("read", read, payload), { onSuccess: () => true, onFailure: () => false })
  }).pipe(Effect.scoped, Effect.orElseSucceed(() => true))

/**
 * If the export does not store writes, skips the checks that read other bytes than were written. The export is tested
 * after the check's own connections are closed, because some servers take only one client at a time. It is tested only
 * once, because the server may have ended later.
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

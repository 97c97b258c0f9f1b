/** Our `info` beside the nbdinfo that is installed, which may be an old one. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { cli, type Ended, run } from "./programs.ts"

/** What only nbdinfo from 1.18 on prints. */
const newFields = ["extended", "can_block_status_payload"]

/** Fields with their order, those of exports included, without the ones named. */
const comparable = (json: string, without: ReadonlyArray<string>): unknown => {
  const prune = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(prune)
      : typeof value === "object" && value !== null
      ? Object.entries(value).filter(([name]) => !without.includes(name)).map(([name, field]) => [name, prune(field)])
      : value
  return prune(JSON.parse(json))
}

/** Runs both with the same words. */
const both = (words: ReadonlyArray<string>): Effect.Effect<{ readonly ours: Ended; readonly theirs: Ended }> =>
  Effect.gen(function*() {
    const theirs = yield* run("nbdinfo", ...words)
    const ours = yield* cli("info", ...words)
    expect(theirs.stderr).toBe("")
    expect(ours.stderr).toBe("")
    expect(ours.code).toBe(theirs.code)
    return { ours, theirs }
  })

/** The same JSON, field by field and in the same order; answers with ours. */
export const sameJson = (...words: ReadonlyArray<string>): Effect.Effect<string> =>
  Effect.map(both(["--json", ...words]), ({ ours, theirs }) => {
    expect(comparable(ours.stdout, newFields)).toEqual(comparable(theirs.stdout, newFields))
    return ours.stdout
  })

/** The same text, but for what it does not know: a field, and a kind of packets; answers with ours. */
export const sameText = (...words: ReadonlyArray<string>): Effect.Effect<string> =>
  Effect.map(both(words), ({ ours, theirs }) => {
    const known = ours.stdout.replace(/^\tcan_block_status_payload: .*\n/gm, "").replace(
      /^(protocol: .* )extended/,
      "$1structured"
    )
    expect(known).toBe(theirs.stdout)
    return ours.stdout
  })

/** The same in both forms. */
export const same = (...words: ReadonlyArray<string>): Effect.Effect<string> =>
  Effect.zipLeft(sameJson(...words), sameText(...words))

/** Both print nothing, and end with this exit code. */
export const sameAnswer = (code: number, ...words: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.map(both(words), ({ ours, theirs }) => {
    const { stdout } = ours
    expect({ code: theirs.code, stdout: theirs.stdout }).toEqual({ code, stdout: "" })
    expect(stdout).toBe("")
  })

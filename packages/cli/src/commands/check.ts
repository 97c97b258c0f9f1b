/**
 * `effect-nbd check`: does a server keep the rules of the protocol?
 *
 * @since 0.1.0
 */
import * as Conformance from "@effect-nbd/conformance/Conformance"
import { Transport } from "@effect-nbd/core/Transport"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as CheckReport from "../CheckReport.ts"
import * as CheckTally from "../CheckTally.ts"
import { UsageError } from "../Failure.ts"
import { complain, exitWith, print } from "../Output.ts"
import * as ProgressBar from "../ProgressBar.ts"
import * as Target from "../Target.ts"
import { invalid, parseDuration, positional } from "./values.ts"

const options = {
  uri: positional("URI"),
  destructive: Options.boolean("destructive").pipe(
    Options.withDescription("Agree that the content of the export is lost; nothing is done without it")
  ),
  json: Options.boolean("json").pipe(Options.withDescription("Print the report as JSON")),
  timeout: Options.text("timeout").pipe(
    Options.withDefault("15s"),
    Options.mapEffect((text) => {
      const timeout = parseDuration(text)
      return timeout === undefined
        ? Effect.fail(invalid(`--timeout ${text}: not a time, such as 500ms or 5s`))
        : Effect.succeed(timeout)
    }),
    Options.withDescription(
      "How long a single check may take, 15s by default: several times as long as an answer of the server"
    )
  )
}

/**
 * Runs the conformance suite on a server, and prints the report rule by rule: of what was looked at, if it is
 * interrupted, or answers no more. Exit code 2: it breaks some; 3: it breaks none that could be judged, but some checks were
 * not over in time. A server that breaks a rule before any client of ours is in the export gets its report too.
 *
 * @since 0.1.0
 * @category commands
 */
export const check = Command.make("check", options, ({ destructive, json, timeout, uri }) =>
  Effect.gen(function*() {
    if (!destructive) {
      return yield* new UsageError({
        reason: "check writes to the export: say --destructive if its content may be lost"
      })
    }
    const found = yield* Target.ofWord(uri, timeout)
    const report = yield* Effect.gen(function*() {
      const target = yield* Conformance.targetOf(found.exportName, { timeout })
      // A program in brackets is started for each connection anew.
      const keepsContent = found.uri !== undefined
      const all = { ...target, keepsContent }
      const checks = [...Conformance.serverChecks(all), ...Conformance.checks(all)]
      const canvas = process.stderr.isTTY ? ProgressBar.standardError : undefined
      const unfinished = (report: Conformance.Report) =>
        Effect.zipRight(
          Effect.ignore(printed(report, json)),
          complain(`effect-nbd: interrupted: ${report.checks.length} of ${checks.length} checks were made\n`)
        )
      return yield* CheckTally.withTally(
        { canvas, total: checks.length, unfinished },
        (onResult) => Conformance.run(all, { checks, timeout, onResult })
      )
    }).pipe(Effect.provideService(Transport, found.transport))
    yield* printed(report, json)
    if (report.failed > 0) yield* exitWith(2)
    else if (report.unclear > 0) yield* exitWith(3)
  })).pipe(Command.withDescription("Check a server against the rules of the protocol, and report rule by rule"))

const printed = (report: Conformance.Report, json: boolean) =>
  print(json ? CheckReport.toJson(report) : CheckReport.toText(report))

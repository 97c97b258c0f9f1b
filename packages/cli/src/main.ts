/**
 * The `effect-nbd` program: reads the command line, runs a command, and tells what went wrong in one line.
 *
 * Exit codes: 0 when all went well, 1 when something failed, 2 when what was asked is not so, 128 and the number of the
 * signal when one ended it before it was done (129 SIGHUP, 130 SIGINT, 131 SIGQUIT, 143 SIGTERM), 141 when nobody reads its
 * output any more.
 *
 * @since 0.1.0
 */
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import * as Doc from "@effect/printer/Doc"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import { readFileSync } from "node:fs"
import { stripVTControlCharacters } from "node:util"
import * as Brackets from "./Brackets.ts"
import { check } from "./commands/check.ts"
import { copy, withProgressFd } from "./commands/copy.ts"
import { info, withDefaultMap } from "./commands/info.ts"
import { serve } from "./commands/serve.ts"
import { withEmptyValues } from "./commands/values.ts"
import {
  exitCodeOf as failureCodeOf,
  type Fault,
  isReaderGone,
  ofCause,
  oneLine,
  OutputError,
  toJson,
  UsageError
} from "./Failure.ts"
import * as Help from "./Help.ts"
import * as Json from "./Json.ts"
import { complain, hasColours, note, print } from "./Output.ts"
import * as Signals from "./Signals.ts"

const version = (): string => {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))
  const isNamed = typeof manifest === "object" && manifest !== null && "version" in manifest
  return isNamed ? String(manifest.version) : "unknown"
}

const run = Command.run(
  Command.make("effect-nbd").pipe(
    Command.withDescription("A client, and a server to try it on, for Network Block Devices"),
    Command.withSubcommands([info, copy, serve, check])
  ),
  { name: "effect-nbd", version: version(), executable: "effect-nbd" }
)

/** What @effect/cli prints: help as it is, and nothing of its errors, which are told below like all others. */
const quietly = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Console.consoleWith((console) =>
    Effect.withConsole(effect, {
      ...console,
      log: (text: unknown) => {
        const help = Help.shorten(String(text))
        return Effect.ignore(print(`${hasColours() ? help : stripVTControlCharacters(help)}\n`))
      },
      error: () => Effect.void
    })
  )

const usage = (error: ValidationError.ValidationError): UsageError =>
  new UsageError({ reason: `${reworded(oneLine(plain(error.error)))} (see --help)` })

/** What @effect/cli says of some faults is no sentence, or says what is wrong with something else. */
const reworded = (reason: string): string =>
  reason === ""
    ? "the command line makes no sense"
    : reason.replace(/is not a integer$/, "is not a whole number").replace(
      /^Received unknown argument: '(-.*)'$/,
      "$1 needs a value, or is no option of this command"
    )

/** What stands in it may have come from the command line: nothing is taken out but the colours. */
const plain = (doc: HelpDoc.HelpDoc): string => Doc.render(Doc.unAnnotate(HelpDoc.toAnsiDoc(doc)), { style: "pretty" })

/** `--name=value` as two words: for options that may be repeated @effect/cli knows no other form. */
const words = (argv: ReadonlyArray<string>): ReadonlyArray<string> =>
  argv.flatMap((word) => {
    const [, name, value] = /^(--[^=]+)=([^]*)$/.exec(word) ?? []
    return name === undefined || value === undefined ? [word] : [name, value]
  })

const argv = withEmptyValues(words(withProgressFd(withDefaultMap(Brackets.join(process.argv)))))

const tell = (fault: Fault): Effect.Effect<void> =>
  isReaderGone(fault)
    ? Effect.void
    : argv.includes("--json") && !(fault instanceof OutputError)
    ? Effect.ignore(print(`${Json.format({ error: toJson(fault) })}\n`))
    : complain(`effect-nbd: ${fault._tag === "Defect" ? fault.message : oneLine(fault.message)}\n`)

/** `--log-level debug` shows how a server is connected to: beside the output, not in it. */
const logger = Logger.replace(
  Logger.defaultLogger,
  Logger.map(Logger.logfmtLogger, (line) => note(`${line}\n`))
)

const program = quietly(Effect.suspend(() => run(argv))).pipe(
  Effect.mapError((error): Fault => ValidationError.isValidationError(error) ? usage(error) : error),
  Effect.tapErrorCause((cause) => Cause.isInterruptedOnly(cause) ? Effect.void : tell(ofCause(cause))),
  Effect.provide(Layer.mergeAll(NodeFileSystem.layer, NodePath.layer, NodeTerminal.layer, logger))
)

const exitCodeOf = (exit: Exit.Exit<unknown, unknown>, signal: NodeJS.Signals | undefined): number => {
  if (Exit.isSuccess(exit)) return Number(process.exitCode ?? 0)
  // A signal is how a server is meant to end: `serve` has set the exit code beforehand. What failed because of it, as a
  // program of the same terminal that was sent it too, has not failed by itself.
  if (signal !== undefined) return Number(process.exitCode ?? Signals.exitCodeOf(signal))
  return failureCodeOf(Option.getOrUndefined(Cause.failureOption(exit.cause)))
}

// Node.js says of WASI, by which positions beyond 2^53 are reached, that it is experimental: no news to who copies a disk.
const warn = process.listeners("warning")
process.removeAllListeners("warning")
process.on("warning", (warning) => {
  if (!(warning.name === "ExperimentalWarning" && warning.message.startsWith("WASI "))) {
    for (const listener of warn) listener(warning)
  }
})

Signals.runMain(program, exitCodeOf)

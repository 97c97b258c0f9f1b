/**
 * `effect-nbd info URI`
 *
 * @since 0.1.0
 */
import * as Handle from "@effect-nbd/core/Handle"
import { Transport } from "@effect-nbd/core/Transport"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ability from "../Ability.ts"
import { UsageError } from "../Failure.ts"
import * as Info from "../Info.ts"
import * as InfoMode from "../InfoMode.ts"
import * as InfoReport from "../InfoReport.ts"
import * as Json from "../Json.ts"
import { exitWith, hasColours, print } from "../Output.ts"
import * as Paint from "../Paint.ts"
import * as Target from "../Target.ts"
import { invalid, parseDuration, positional, switchOf } from "./values.ts"

const wordOf = (name: string, aliases: ReadonlyArray<string>, description: string) =>
  aliases.reduce((option, alias) => Options.withAlias(option, alias), Options.text(name)).pipe(
    Options.withPseudoName("WORD"),
    Options.withDescription(description),
    Options.optional
  )

const timeout = Options.text("timeout").pipe(
  Options.withPseudoName("TIME"),
  Options.withDescription("How long connecting may take, such as 500ms or 5s; 30s by default"),
  Options.withDefault("30s"),
  Options.mapEffect((text) => {
    const timeout = parseDuration(text)
    return timeout === undefined || Duration.equals(timeout, Duration.zero)
      ? Effect.fail(invalid(`--timeout ${text}: not a time, such as 500ms or 5s`))
      : Effect.succeed(timeout)
  })
)

/**
 * Tells what a server says of an export, or of all that it lists, or answers one question about it.
 *
 * @since 0.1.0
 * @category commands
 */
export const info = Command.make(
  "info",
  {
    uri: positional("URI").pipe(
      Args.withDescription("nbd://HOST[:PORT][/EXPORT] or nbd+unix:///[EXPORT]?socket=PATH")
    ),
    json: Options.boolean("json").pipe(
      Options.withDescription("Print JSON with the fields of nbdinfo --json; errors too are JSON then")
    ),
    list: Options.boolean("list").pipe(
      Options.withAlias("L"),
      Options.withDescription("Tell about every export that the server lists")
    ),
    size: Options.boolean("size").pipe(Options.withDescription("Print only the size of the export, in bytes")),
    uriOnly: Options.boolean("uri").pipe(
      Options.withDescription("Print only the URI of the export, with everything in it that has a default")
    ),
    can: wordOf(
      "can",
      ["is", "has"],
      `Print nothing, and exit with 0 if it is so, with 2 if not. WORD is one of ${Ability.words.join(", ")}`
    ),
    cannot: wordOf(
      "cannot",
      ["isnt", "hasnt"],
      "The other way round: exit with 0 if it is not so, with 2 if it is"
    ),
    content: switchOf(
      "content",
      "no-content",
      [],
      "Read the start of the export, and have file(1) say what it looks like; so it is by default, but for --list"
    ),
    colours: switchOf("color", "no-color", ["colour"], "Use colours; by default on a terminal, if NO_COLOR is not set"),
    timeout
  },
  ({ colours, content, json, timeout, uri, ...given }) =>
    Effect.gen(function*() {
      const mode = yield* InfoMode.make(given)
      const target = yield* Target.ofUri(uri, timeout)
      switch (mode._tag) {
        case "Export":
        case "List": {
          const isList = mode._tag === "List"
          const options = { content: Option.getOrElse(content, () => !isList) }
          const found = yield* isList ? Info.ofServer(target, options) : Info.ofExport(target, options)
          const isColoured = Option.getOrElse(colours, hasColours)
          yield* json
            ? print(`${Json.format(InfoReport.toJsonObject(found))}\n`)
            : print(InfoReport.toText(found, isColoured ? Paint.colours : Paint.plain), { colours: isColoured })
          // The others have been told about, and so has what the server said of this one.
          if (found.exports.some(({ _tag }) => _tag === "Refused")) yield* exitWith(1)
          return
        }
        case "Size": {
          const { known } = yield* entered(target)
          return yield* print(`${known.size}\n`)
        }
        case "Uri": {
          const { known } = yield* entered(target)
          const whole = yield* Target.uriOf(target, known.name)
          if (whole === undefined) return yield* new UsageError({ reason: `${uri} has no URI` })
          return yield* print(`${json ? JSON.stringify(whole) : whole}\n`)
        }
        case "Question": {
          const isSo = yield* answer(target, mode.ability)
          return isSo === mode.expected ? undefined : yield* exitWith(2)
        }
      }
    })
).pipe(Command.withDescription("Tell what a server says of an export"))

const entered = ({ exportName, handshakeTimeout, transport }: Target.Target) =>
  Effect.scoped(Effect.gen(function*() {
    const { agreed, export: known, shutdown } = yield* Handle.connect({ exportName, handshakeTimeout })
    yield* Effect.ignore(shutdown)
    return { agreed, known }
  })).pipe(Effect.provideService(Transport, transport))

/** Not to get in is an answer only to the question whether one does. */
const answer = (target: Target.Target, { holds, word }: Ability.Ability) =>
  entered(target).pipe(
    Effect.map(({ agreed, known }) => holds(agreed, known)),
    word === "connect" ? Effect.orElseSucceed(() => false) : (asked) => asked
  )

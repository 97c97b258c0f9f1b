/**
 * `effect-nbd info URI`
 *
 * @since 0.1.0
 */
import * as Handle from "@effect-nbd/core/Handle"
import type { WantedContext } from "@effect-nbd/core/handshake/MetaContext"
import * as MetaContext from "@effect-nbd/core/MetaContext"
import { Transport } from "@effect-nbd/core/Transport"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ability from "../Ability.ts"
import * as Brackets from "../Brackets.ts"
import * as Deadline from "../Deadline.ts"
import { UsageError } from "../Failure.ts"
import * as Info from "../Info.ts"
import * as InfoMode from "../InfoMode.ts"
import * as InfoReport from "../InfoReport.ts"
import * as Json from "../Json.ts"
import { exitWith, hasColours, print } from "../Output.ts"
import * as Paint from "../Paint.ts"
import * as Record from "../Record.ts"
import * as Size from "../Size.ts"
import * as Target from "../Target.ts"
import { printMap } from "./map.ts"
import {
  forceExportNameOption,
  invalid,
  parseDuration,
  positional,
  recordOption,
  repeatable,
  switchOf
} from "./values.ts"

const wordOf = (name: string, aliases: ReadonlyArray<string>, description: string) =>
  aliases.reduce((option, alias) => Options.withAlias(option, alias), Options.text(name)).pipe(
    Options.withPseudoName("WORD"),
    Options.withDescription(description),
    Options.optional
  )

const sizeOf = (name: string, description: string) =>
  Options.text(name).pipe(
    Options.withPseudoName("SIZE"),
    Options.withDescription(description),
    Options.mapEffect((text) => {
      const size = Size.parse(text)
      return size === undefined
        ? Effect.fail(invalid(`--${name} ${text}: not a size, such as 64M`))
        : Effect.succeed(size)
    }),
    Options.optional
  )

const timeout = Options.text("timeout").pipe(
  Options.withPseudoName("TIME"),
  Options.withDescription(
    "How long all of it may take, from connecting to the last answer, such as 500ms or 5s; by default 30s to connect, 5s for the first byte over TCP, 30s for each answer before the export is entered, and 10m for all but --map"
  ),
  Options.mapEffect((text) => {
    const timeout = parseDuration(text)
    return timeout === undefined || Duration.equals(timeout, Duration.zero)
      ? Effect.fail(invalid(`--timeout ${text}: not a time, such as 500ms or 5s`))
      : Effect.succeed(timeout)
  }),
  Options.optional
)

/** The default time limit for the whole command. */
const usual = Duration.minutes(10)

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
      Args.withDescription(
        "nbd://HOST[:PORT][/EXPORT], nbd+unix:///[EXPORT]?socket=PATH, nbds and nbds+unix for TLS, or [ PROGRAM ARGUMENTS ], a server to be run, as nbdkit and qemu-nbd are"
      )
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
    map: repeatable("map").pipe(
      Options.mapEffect((contexts) =>
        contexts.includes("") ? Effect.fail(invalid("--map: a context needs a name")) : Effect.succeed(contexts)
      ),
      Options.withPseudoName("CONTEXT"),
      Options.withDescription(
        "Print the extents of the export: where they begin, how long they are, their type and what it means. --map alone is --map=base:allocation; with several contexts extents end where any of them changes"
      )
    ),
    totals: Options.boolean("totals").pipe(
      Options.withAlias("total"),
      Options.withDescription(
        "With --map: print how many bytes there are of each type, and how much of the whole that is"
      )
    ),
    offset: sizeOf("offset", "With --map: where to begin, such as 1M"),
    length: sizeOf("length", "With --map: how many bytes to tell about, such as 64M; by default all that follow"),
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
    forceExportName: forceExportNameOption,
    timeout,
    record: recordOption(
      "Write what goes over the connection to FILE once it is over, in hexadecimal with its meaning beside it; where there are more connections, theirs to FILE.2 and so on. 4 MiB at most"
    )
  },
  ({ colours, forceExportName, record, timeout, uri, ...given }) =>
    Effect.gen(function*() {
      const mode = yield* InfoMode.make(given)
      const found = yield* Target.ofWord(uri, Option.getOrUndefined(timeout))
      // A map may be long, and is printed as it comes.
      const all = mode._tag === "Map" ? Duration.infinity : usual
      const deadline = yield* Deadline.make(Option.getOrElse(timeout, () => all))
      yield* Record.during(record, (recording) =>
        tell({ ...found, forceExportName, transport: recording(found.transport) }, mode, deadline, {
          ...given,
          isColoured: Option.getOrElse(colours, hasColours),
          word: uri
        }))
    })
).pipe(Command.withDescription("Tell what a server says of an export"))

interface Wishes {
  readonly content: Option.Option<boolean>
  readonly json: boolean
  readonly isColoured: boolean
  /** What the target was named by. */
  readonly word: string
}

const tell = (
  target: Target.Target,
  mode: InfoMode.InfoMode,
  deadline: Deadline.Deadline,
  { content, isColoured, json, word }: Wishes
) =>
  Effect.gen(function*() {
    switch (mode._tag) {
      case "Export":
      case "List": {
        const isList = mode._tag === "List"
        const options = { content: Option.getOrElse(content, () => !isList) }
        const found = yield* Deadline.within(deadline)(
          isList ? Info.ofServer(target, options) : Info.ofExport(target, options)
        )
        yield* json
          ? print(`${Json.format(InfoReport.toJsonObject(found))}\n`)
          : print(InfoReport.toText(found, isColoured ? Paint.colours : Paint.plain))
        // The others have been told about, and so has what the server said of this one.
        if (found.exports.some(({ _tag }) => _tag === "Refused")) yield* exitWith(1)
        return
      }
      case "Map":
        return yield* printMap(target, mode, { json, isColoured, deadline })
      case "Size": {
        const { known } = yield* Deadline.within(deadline)(entered(target))
        return yield* print(`${known.size}\n`)
      }
      case "Uri": {
        const { known } = yield* Deadline.within(deadline)(entered(target))
        const whole = yield* Target.uriOf(target, known.name)
        if (whole === undefined) return yield* new UsageError({ reason: `${Brackets.show(word)} has no URI` })
        return yield* print(`${json ? Json.quoted(whole) : whole}\n`)
      }
      case "Question": {
        const isSo = yield* answer(target, mode.ability, deadline)
        return isSo === mode.expected ? undefined : yield* exitWith(2)
      }
    }
  })

/**
 * An option that may go without its value is one that @effect/cli does not know: `--map` alone gets its default.
 *
 * @since 0.1.0
 * @category commands
 */
export const withDefaultMap = (argv: ReadonlyArray<string>): ReadonlyArray<string> => {
  const operands = argv.indexOf("--")
  return argv.map((word, index) =>
    word === "--map" && (operands === -1 || index < operands) ? `--map=${MetaContext.baseAllocation}` : word
  )
}

const entered = (
  { exportName, forceExportName = false, handshakeTimeout, transport }: Target.Target,
  metaContexts: ReadonlyArray<WantedContext> = []
) =>
  Effect.scoped(Effect.gen(function*() {
    const { agreed, export: known, shutdown } = yield* Handle.connect({
      exportName,
      forceExportName,
      handshakeTimeout,
      metaContexts
    })
    yield* Effect.ignore(shutdown)
    return { agreed, known }
  })).pipe(Effect.provideService(Transport, transport))

/** Not to get in is an answer only to the question whether one does. */
const answer = (target: Target.Target, { contexts, holds, word }: Ability.Ability, deadline: Deadline.Deadline) =>
  Deadline.within(deadline)(entered(target, contexts.map((name) => ({ name, optional: true })))).pipe(
    Effect.map(({ agreed, known }) => holds(agreed, known)),
    word === "connect" ? Effect.orElseSucceed(() => false) : (asked) => asked
  )

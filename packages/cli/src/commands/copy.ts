/**
 * `effect-nbd copy SOURCE DESTINATION`
 *
 * @since 0.1.0
 */
import type { ProgramExitedError } from "@effect-nbd/core/TransportError"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as Copy from "../Copy.ts"
import { UsageError } from "../Failure.ts"
import * as FileThread from "../FileThread.ts"
import * as Operand from "../Operand.ts"
import { complain } from "../Output.ts"
import * as Patience from "../Patience.ts"
import * as ProgressBar from "../ProgressBar.ts"
import * as ProgressLines from "../ProgressLines.ts"
import * as Race from "../Race.ts"
import * as Record from "../Record.ts"
import * as Size from "../Size.ts"
import * as Word from "../Word.ts"
import { forceExportNameOption, invalid, parseDuration, positional, recordOption } from "./values.ts"

/** Connections to each end: more would be more to set up, and gained nothing with servers on the same machine. */
const defaultConnections = 2

const count = <Default>(name: string, byDefault: Default, maximum: number, description: string) =>
  Options.integer(name).pipe(
    Options.withPseudoName("N"),
    Options.mapEffect((count) =>
      count >= 1 && count <= maximum
        ? Effect.succeed(count)
        : Effect.fail(invalid(`--${name} ${count}: has to be from 1 to ${maximum}`))
    ),
    Options.withDefault(byDefault),
    Options.withDescription(`${description}, 1 to ${maximum}`)
  )

interface SizeLimits {
  readonly isValid: (size: bigint) => boolean
  readonly words: string
}

const between = (minimum: bigint, maximum: bigint) => (size: bigint): boolean => size >= minimum && size <= maximum

/** A power of two has one bit. */
const isBlock = (size: bigint): boolean =>
  size === 0n || (between(512n, 33_554_432n)(size) && (size & (size - 1n)) === 0n)

const size = <Default>(name: string, byDefault: Default, { isValid, words }: SizeLimits, description: string) =>
  Options.text(name).pipe(
    Options.withPseudoName("SIZE"),
    Options.mapEffect((text) => {
      const size = Size.parse(text)
      return size !== undefined && isValid(size)
        ? Effect.succeed(Number(size))
        : Effect.fail(invalid(`--${name} ${text}: has to be ${words}`))
    }),
    Options.withDefault(byDefault),
    Options.withDescription(description)
  )

const requireOpen = (fd: number): Effect.Effect<void, UsageError> =>
  Effect.try({
    try: () => void fs.fstatSync(fd),
    catch: () => new UsageError({ reason: `--progress=${fd}: there is no open descriptor of this number` })
  })

/**
 * `--progress=FD` in a form that the parser knows: for the parser an option either always has a value or never has one.
 *
 * @since 0.1.0
 * @category decoding
 */
export const withProgressFd = (argv: ReadonlyArray<string>): ReadonlyArray<string> => {
  const operands = argv.indexOf("--")
  return argv.map((word, index) =>
    /^--progress=[0-9]+$/.test(word) && (operands === -1 || index < operands)
      ? word.replace("--progress", "--progress-fd")
      : word
  )
}

/**
 * Copies between exports and files.
 *
 * @since 0.1.0
 * @category commands
 */
export const copy = Command.make(
  "copy",
  {
    source: positional("SOURCE", "-").pipe(
      Args.withDescription(
        "An NBD URI, [ PROGRAM ARGUMENTS ], a server to be run, the path of a file, or - for standard input"
      )
    ),
    destination: positional("DESTINATION", "-").pipe(
      Args.withDescription("The same, with - for standard output, or null: to only read")
    ),
    connections: count(
      "connections",
      defaultConnections,
      64,
      `Connections to each end that can be used over several, ${defaultConnections} by default`
    ),
    requests: count(
      "requests",
      undefined,
      1024,
      "Requests in flight at once; by default 8, to a file 16, and more where a server is far away"
    ),
    requestSize: size(
      "request-size",
      undefined,
      { isValid: between(4096n, 33_554_432n), words: "from 4K to 32M" },
      "Bytes a request, 4K to 32M, adjusted to the block sizes of both ends; 1M or to a file 512K by default"
    ),
    queueSize: size(
      "queue-size",
      Copy.defaults.queueSize,
      { isValid: between(4096n, 1_073_741_824n), words: "from 4K to 1G" },
      "Bytes in flight at once at most, 4K to 1G; 64M by default"
    ),
    sparse: size(
      "sparse",
      Copy.defaults.sparse,
      { isValid: isBlock, words: "0, or a power of two from 512 to 32M" },
      "So many zero bytes in a row become a hole where the destination can have one; 0 to write them. 4K by default"
    ),
    allocated: Options.boolean("allocated").pipe(
      Options.withDescription("Leave no holes in the destination: store zeroes")
    ),
    destinationIsZero: Options.boolean("destination-is-zero").pipe(
      Options.withAlias("target-is-zero"),
      Options.withDescription("The destination reads as zeroes everywhere: leave it so where the source does")
    ),
    noExtents: Options.boolean("no-extents").pipe(
      Options.withDescription(
        "Read everything, without asking the source where its zeroes are: an export by its map, a file through perl or python3"
      )
    ),
    inPlace: Options.boolean("in-place").pipe(
      Options.withDescription(
        "Write to a file itself, which is lost if the copy fails: by default NAME.part is written, and takes its place when it is complete"
      )
    ),
    forceExportName: forceExportNameOption,
    flush: Options.boolean("flush").pipe(
      Options.withDescription("Make the copy durable before it counts as done; off by default")
    ),
    synchronous: Options.boolean("synchronous").pipe(
      Options.withDescription("One connection to each end, and one request at a time")
    ),
    progress: Options.boolean("progress").pipe(
      Options.withAlias("p"),
      Options.withDescription("Draw a progress bar on standard error, even if that is not a terminal")
    ),
    timeout: Options.text("timeout").pipe(
      Options.withPseudoName("TIME"),
      Options.mapEffect((text) => {
        const time = text === "0" ? Duration.zero : parseDuration(text)
        return time === undefined
          ? Effect.fail(invalid(`--timeout ${text}: not a time, such as 500ms, 5s, 2m or 0`))
          : Effect.succeed(time)
      }),
      Options.optional,
      Options.withDescription(
        "How long to wait for a server: to connect, to open its disk, and for an answer to anything; 0 for ever. By default 30 s, 2 minutes (5 s for its greeting over TCP), and from 15 s to 2 minutes, by how slow it was before"
      )
    ),
    progressFd: Options.integer("progress-fd").pipe(
      Options.withPseudoName("FD"),
      Options.optional,
      Options.withDescription("Write N/100 lines to this descriptor, for programs; also as --progress=FD")
    ),
    record: recordOption(
      "Write what goes over the connections to servers to FILE, FILE.2 and so on once the copy is over, the source's first, in hexadecimal with its meaning beside it. 4 MiB of each end at most"
    )
  },
  ({
    allocated,
    destination,
    destinationIsZero,
    flush,
    forceExportName,
    inPlace,
    noExtents,
    progress,
    progressFd,
    record,
    source: from,
    synchronous,
    timeout,
    ...given
  }) => {
    let left: string | undefined
    let serverFailure: ProgramExitedError | undefined
    const onFailure = (error: ProgramExitedError): void => {
      serverFailure ??= error
    }
    const copying = withEnds(
      [from, destination],
      record,
      (recording, from, to) =>
        Effect.scoped(Effect.gen(function*() {
          yield* FileThread.only
          if (Option.isSome(progressFd)) yield* requireOpen(progressFd.value)
          const extents = !noExtents
          const connections = synchronous ? 1 : Math.min(given.connections, given.requests ?? Copy.defaults.requests)
          const patience = Option.match(timeout, { onNone: () => Patience.usual, onSome: Patience.of })
          const servers = { connections, forceExportName, recording, onFailure, patience }
          const { file, silence, source } = yield* Operand.openSource(from, { ...servers, extents })
          const { silence: silenceThere, sink } = yield* Operand.openSink(to, {
            ...servers,
            flush,
            allocated,
            inPlace,
            destinationIsZero,
            from: file
          })
          const requests = synchronous ? 1 : given.requests
          const options: Copy.Options = {
            ...given,
            requests,
            flush,
            extents,
            // A destination that must have no holes needs its zeroes written.
            destinationIsZero: destinationIsZero && !allocated,
            onIncomplete: (words) => {
              left = words
            }
          }
          /** The copy ends if either server stops answering. */
          const copyAll = (onCopied?: (bytes: number) => void) =>
            Race.first(Copy.copy(source, sink, { ...options, onCopied }), Race.first(silence, silenceThere))
          const copied = Option.match(progressFd, {
            onNone: () => copyAll,
            onSome: (fd) => (onCopied?: (bytes: number) => void) =>
              ProgressLines.to(fd, source.size, (onLine) =>
                copyAll((bytes) => {
                  onLine(bytes)
                  onCopied?.(bytes)
                }))
          })
          if (!progress && !process.stderr.isTTY) return yield* copied()
          yield* ProgressBar.withBar(ProgressBar.standardError, source.size, copied)
        }))
    )
    // The exit status is known only after the connection was closed.
    const whole = Effect.flatMap(copying, () => serverFailure === undefined ? Effect.void : Effect.fail(serverFailure))
    // After the progress bar, which occupies the last line until it is removed.
    return Effect.ensuring(
      whole,
      Effect.suspend(() => left === undefined ? Effect.void : complain(`effect-nbd: ${left}\n`))
    )
  }
).pipe(Command.withDescription("Copy an export to a file, a file to an export, or an export to another"))

/** Both words are looked at before anything is opened or made, and the record is made too. */
const withEnds = <A, E, R>(
  [from, to]: readonly [from: string, to: string],
  record: Option.Option<string>,
  use: (recording: Record.Recording, from: Word.Operand, to: Word.Operand) => Effect.Effect<A, E, R>
) =>
  Effect.flatMap(
    Effect.all([Word.operand(from), Word.operand(to)]),
    ([from, to]) => Record.during(record, (recording) => use(recording, from, to))
  )

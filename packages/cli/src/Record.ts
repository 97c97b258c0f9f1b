/**
 * `--record FILE`: takes down what goes over connections, and writes it as transcripts once they are over.
 *
 * The first connection is in FILE, those after it in FILE.2, FILE.3 and so on. Memory is bounded: a transcript that did
 * not fit says at its end that it was cut. No file is written over that is not such a record itself.
 *
 * @since 0.1.0
 */
import type { Connection, Transport } from "@effect-nbd/core/Transport"
import * as FileCalls from "@effect-nbd/node/file/FileCalls"
import * as Transcript from "@effect-nbd/testing/Transcript"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import { oneLine, UsageError } from "./Failure.ts"
import { complain } from "./Output.ts"

/** Bytes of memory for the connections of a command to one target, or for one session of a server. */
const limit = 4_194_304

/** Sessions of a server that are recorded at a time. */
const mostSessions = 16

/** What a record begins with. */
const firstWords = "effect-nbd --record:"

/**
 * What can be wrong with the file.
 *
 * @since 0.1.0
 * @category errors
 */
export type RecordError = FileCalls.FileError | UsageError

/**
 * The same transport, with its connections recorded.
 *
 * @since 0.1.0
 * @category models
 */
export type Recording = (transport: Transport["Type"]) => Transport["Type"]

/**
 * Runs something with a recording, and writes what was recorded when that is over, whether it has succeeded, failed or
 * was interrupted. Without a file nothing is recorded. Whether there can be such a file is found out before.
 *
 * @since 0.1.0
 * @category constructors
 */
export const during = <A, E, R>(
  file: Option.Option<string>,
  use: (recording: Recording) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | RecordError, R> =>
  Option.match(file, {
    onNone: () => use((transport) => transport),
    onSome: (path) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          yield* claim(path)
          const recordings: Array<{ readonly target: string } & Transcript.RecordingService> = []
          const recording: Recording = (transport) => {
            const recorded = Transcript.record(transport, { limit })
            recordings.push({ target: transport.target, transcripts: recorded.transcripts })
            return recorded.transport
          }
          const exit = yield* Effect.exit(restore(use(recording)))
          const all = yield* Effect.forEach(recordings, ({ target, transcripts }) =>
            Effect.map(transcripts, (each) =>
              each.map((transcript) => ({ target, transcript }))))
          const writing = writeAll(path, all.flat())
          yield* Exit.isSuccess(exit) ? writing : Effect.catchAll(writing, tell)
          return yield* exit
        })
      )
  })

/**
 * Sessions of a server of which each is recorded, and written to a file of its own when it is over. Of more than 16 at a
 * time the others are not recorded, and standard error says so.
 *
 * @since 0.1.0
 * @category constructors
 */
export const sessions = (
  file: Option.Option<string>,
  session: (connection: Connection) => Effect.Effect<void>
): Effect.Effect<(connection: Connection) => Effect.Effect<void>, RecordError> =>
  Option.match(file, {
    onNone: () => Effect.succeed(session),
    onSome: (path) => {
      let open = 0
      let count = 0
      const recorded = (connection: Connection) => {
        const number = ++count
        open++
        const taped = Transcript.recordConnection(connection, { side: "server", limit })
        const written = Effect.flatMap(taped.transcripts, (transcripts) =>
          write(path, number, `session ${number}, with ${connection.peer}`, transcripts[0])).pipe(
            Effect.catchAll(tell),
            Effect.ensuring(Effect.sync(() => {
              open--
            }))
          )
        return Effect.ensuring(session(taped.connection), written)
      }
      return Effect.as(claim(path), (connection) =>
        Effect.suspend(() =>
          open < mostSessions
            ? recorded(connection)
            : Effect.zipRight(
              complain(`effect-nbd: too many sessions to record ${connection.peer}\n`),
              session(connection)
            )
        ))
    }
  })

interface Recorded {
  readonly target: string
  readonly transcript: Transcript.Transcript
}

const writeAll = (path: string, all: ReadonlyArray<Recorded>): Effect.Effect<void, RecordError> =>
  all.length === 0
    ? write(path, 1, "no connection", undefined)
    : Effect.forEach(
      all,
      ({ target, transcript }, index) =>
        write(path, index + 1, `connection ${index + 1} of ${all.length}, to ${target}`, transcript),
      { discard: true }
    )

const write = (
  path: string,
  number: number,
  about: string,
  { events }: Transcript.Transcript = Transcript.make([])
): Effect.Effect<void, RecordError> =>
  Effect.suspend(() => {
    const file = number === 1 ? path : `${path}.${number}`
    const bytes = Buffer.from(Transcript.print(Transcript.make(events, [`${firstWords} ${oneLine(about)}`])))
    return using(file, (fd) =>
      Effect.zipRight(
        FileCalls.call<void>("truncate", file, (done) => fs.ftruncate(fd, 0, (error) => done(error))),
        FileCalls.writing(fd, file)(0n, bytes)
      ))
  })

/** Makes an empty file, or finds one that may be written over. */
const claim = (path: string): Effect.Effect<void, RecordError> => using(path, () => Effect.void)

/** A close that fails can mean that what was written is lost. */
const using = (path: string, use: (fd: number) => Effect.Effect<void, RecordError>): Effect.Effect<void, RecordError> =>
  Effect.uninterruptible(
    Effect.flatMap(open(path), (fd) =>
      Effect.flatMap(Effect.exit(use(fd)), (used) => {
        const closed = FileCalls.call<void>("write", path, (done) => fs.close(fd, (error) => done(error)))
        return Exit.isSuccess(used) ? closed : Effect.zipRight(Effect.ignore(closed), used)
      }))
  )

/**
 * Others may not look into it, since it has data in it: neither into a new file nor into one that is there already. It is
 * opened anew each time, since somebody may have removed it, or put another one there.
 */
const open = (path: string): Effect.Effect<number, RecordError> =>
  FileCalls.call<number>("open", path, (done) => fs.open(path, "wx", 0o600, done)).pipe(
    Effect.catchIf(({ code }) => code === "EEXIST", () => openRecord(path))
  )

/** To open anything but a file may take for ever, without this flag. */
const flags = fs.constants.O_RDWR | fs.constants.O_NONBLOCK

const openRecord = (path: string): Effect.Effect<number, RecordError> => {
  const other = Effect.fail(new UsageError({ reason: `--record ${path}: the file is there, and is no record` }))
  const checked = (fd: number): Effect.Effect<void, RecordError> =>
    Effect.gen(function*() {
      const stats = yield* FileCalls.call<fs.Stats>("open", path, (done) => fs.fstat(fd, done))
      if (!stats.isFile()) return yield* other
      const start = new Uint8Array(firstWords.length + 2)
      const count = yield* FileCalls.call<number>("read", path, (done) => fs.read(fd, start, 0, start.length, 0, done))
      if (count !== 0 && new TextDecoder().decode(start) !== `# ${firstWords}`) return yield* other
      yield* FileCalls.call<void>("open", path, (done) => fs.fchmod(fd, 0o600, (error) => done(error)))
    })
  return FileCalls.call<number>("open", path, (done) => fs.open(path, flags, done)).pipe(
    Effect.tap((fd) =>
      Effect.tapErrorCause(checked(fd), () => Effect.async<void>((resume) => fs.close(fd, () => resume(Effect.void))))
    )
  )
}

const tell = ({ message }: RecordError): Effect.Effect<void> => complain(`effect-nbd: ${oneLine(message)}\n`)

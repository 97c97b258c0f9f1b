/**
 * Where the holes of a file are.
 *
 * Node.js has no `lseek`, and so no way to ask: a file of 1 TiB with 1 GiB of data in it would be read from end to end. Perl
 * has one, and is on nearly every system; otherwise Python. Whichever is there is given the open file as its standard
 * input, not its name, and tells where data begins and ends. It moves a position that nobody here uses.
 *
 * What it says is checked for sense. Where it makes none, or there is no such program, or it fails, the stream ends: what
 * that has not reached is read like any data. The number of blocks that a file has does not tell, even where it is zero: not
 * every file system counts what it keeps in its inodes or has yet to store.
 *
 * @since 0.1.0
 */
import type { Extent } from "@effect-nbd/block/Extent"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type ChildProcess, spawn } from "node:child_process"
import { Readable } from "node:stream"

/**
 * A program that walks over a range of its standard input, and prints a line for each run of data, `START END` in bytes, and
 * at last `end`. Where the range begins and ends is added to its arguments.
 *
 * @since 0.1.0
 * @category models
 */
export interface Walker {
  readonly command: string
  readonly args: ReadonlyArray<string>
}

// The numbers of SEEK_DATA and SEEK_HOLE: Perl does not know them by name, and macOS has them the other way round.
const [seekData, seekHole] = process.platform === "darwin" ? [4, 3] : [3, 4]

const perl = `
  use Errno "ENXIO";
  my ($at, $size) = @ARGV;
  while ($at < $size) {
    my $start = sysseek(STDIN, $at, ${seekData});
    # No data any more: a hole up to the end, or the end is not where it was.
    if (!defined $start) { exit 1 if $! != ENXIO || (stat STDIN)[7] < $size; last }
    last if $start >= $size;
    my $end = sysseek(STDIN, $start, ${seekHole});
    exit 1 if !defined $end;
    $at = $end < $size ? $end : $size;
    print $start + 0, " ", $at, "\\n";
  }
  print "end\\n";
`

const python = `
import errno, os, sys
at, size = int(sys.argv[1]), int(sys.argv[2])
while at < size:
    try:
        start = os.lseek(0, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO or os.fstat(0).st_size < size: raise
        break
    if start >= size: break
    at = min(os.lseek(0, start, os.SEEK_HOLE), size)
    print(start, at)
print("end")
`

/**
 * The programs that are tried, in this order.
 *
 * @since 0.1.0
 * @category constants
 */
export const walkers: ReadonlyArray<Walker> = [
  { command: "perl", args: ["-e", perl] },
  { command: "python3", args: ["-I", "-c", python] }
]

/**
 * Begins to look for the holes of an open file in a range of it: gives extents from `offset` on and without gaps, as far as
 * one of the programs could tell. The first that can be started counts. It is gone with the scope. The file may be closed
 * once the program is started.
 *
 * @since 0.1.0
 * @category constructors
 */
export const look = (
  fd: number,
  { length, offset }: Pick<Extent, "offset" | "length">,
  programs: ReadonlyArray<Walker> = walkers
): Effect.Effect<Stream.Stream<Extent>, never, Scope.Scope> => {
  const end = offset + length < farthest ? offset + length : farthest
  if (offset >= end) return Effect.succeed(Stream.empty)
  return Effect.map(
    Effect.option(Effect.firstSuccessOf(programs.map((program) => start(program, fd, offset, end)))),
    Option.match({ onNone: () => Stream.empty, onSome: (output) => told(output, offset, end) })
  )
}

/**
 * What is behind is not asked about, and so is read: Linux rounds up to whole pages, of up to 2 MiB, and past 2^63 - 1, and
 * then says that the last page of a file of that size is a hole, whatever is in it.
 */
const farthest = (1n << 63n) - (1n << 21n)

/** What a program says, up to where it makes sense. */
const told = (output: Readable, offset: bigint, end: bigint): Stream.Stream<Extent> =>
  written(output).pipe(
    Stream.mapAccum(nothingBefore(offset), (before, bytes) => {
      const now = understand(before, bytes.toString("latin1"), end)
      return [now, now]
    }),
    Stream.takeUntil(({ isOver }) => isOver),
    Stream.mapConcatChunk(({ found }) => Chunk.unsafeFromArray(found))
  )

/** What a program writes, up to its end or to where that cannot be read. To wait for more can be given up. */
const written = (output: Readable): Stream.Stream<Buffer> =>
  Stream.repeatEffectOption(
    Effect.async<Buffer, Option.Option<never>>((resume) => {
      const leave = (): void => {
        for (const event of changes) output.off(event, look)
      }
      const look = (): void => {
        const bytes: unknown = output.read()
        const found = Buffer.isBuffer(bytes)
        if (!found && !output.readableEnded && !output.destroyed) return
        leave()
        resume(found ? Effect.succeed(bytes) : Effect.fail(Option.none()))
      }
      for (const event of changes) output.on(event, look)
      look()
      return Effect.sync(leave)
    })
  )

const changes = ["readable", "end", "close"] as const

/** Starts a program; answers with its standard output. */
const start = (
  { args, command }: Walker,
  fd: number,
  offset: bigint,
  end: bigint
): Effect.Effect<Readable, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<ChildProcess, Error>((resume) => {
      const child = spawn(command, [...args, String(offset), String(end)], {
        stdio: [fd, "pipe", "ignore"],
        windowsHide: true
      })
      child.once("spawn", () => resume(Effect.succeed(child)))
      child.once("error", (error) => resume(Effect.fail(error)))
    }),
    stop
  ).pipe(
    // Where it cannot be read it is closed, and that is what counts.
    Effect.map(({ stdout }) => (stdout ?? Readable.from([])).on("error", () => {}))
  )

const stop = (child: ChildProcess): Effect.Effect<void> =>
  Effect.async((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })

interface Understood {
  /** Where the data that was told of last ends. */
  readonly at: bigint
  /** The start of a line. */
  readonly rest: string
  readonly found: ReadonlyArray<Extent>
  /** It has said all, or something senseless. */
  readonly isOver: boolean
}

const nothingBefore = (at: bigint): Understood => ({ at, rest: "", found: [], isOver: false })

/** Two numbers of 64 bits. */
const longestLine = 40

const understand = (before: Understood, text: string, limit: bigint): Understood => {
  const lines = (before.rest + text).split("\n")
  const rest = lines.pop() ?? ""
  const found: Array<Extent> = []
  let { at } = before
  for (const line of lines) {
    if (line === "end") {
      if (at < limit) found.push({ offset: at, length: limit - at, allocated: false, zero: true })
      return { at: limit, rest: "", found, isOver: true }
    }
    const [, from, to] = /^(\d{1,19}) (\d{1,19})$/.exec(line) ?? []
    const [start, end] = [BigInt(from ?? 0), BigInt(to ?? 0)]
    if (start < at || end <= start || end > limit) return { at, rest: "", found, isOver: true }
    if (start > at) found.push({ offset: at, length: start - at, allocated: false, zero: true })
    found.push({ offset: start, length: end - start, allocated: true, zero: false })
    at = end
  }
  return { at, rest, found, isOver: rest.length > longestLine }
}

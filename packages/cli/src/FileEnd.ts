/**
 * Regular files as ends of a copy. A source is a device. A destination is none: it has no size before it is written, takes
 * its place when all is there, and is full of holes until then.
 *
 * @since 0.1.0
 */
import * as FileCalls from "@effect-nbd/node/file/FileCalls"
import * as RegularFile from "@effect-nbd/node/file/RegularFile"
import * as WrittenZeroes from "@effect-nbd/node/file/WrittenZeroes"
import * as FileDevice from "@effect-nbd/node/FileDevice"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type BlockSize, inOrder, lending, type Sink, type Source } from "./CopyEnds.ts"
import * as FileDraft from "./FileDraft.ts"

/**
 * Both ends are the same file. Nothing was written.
 *
 * @since 0.1.0
 * @category errors
 */
export class SameFileError extends Data.TaggedError("SameFileError")<{
  readonly source: string
  readonly destination: string
}> {
  override get message(): string {
    return `${this.source} and ${this.destination} are the same file`
  }
}

/** While some are written others are read: with fewer and longer requests one of the two waits for the other. */
const suited = { requests: 16, requestSize: 524_288 }

/** Files take what comes, in pages by preference. */
const blockSize: BlockSize = { minimum: 1, preferred: 4096, maximum: 0x4000_0000 }

/**
 * A source with what is needed to tell it from a destination.
 *
 * @since 0.1.0
 * @category models
 */
export interface FileSource extends Source {
  /** Which file it is, under any name. */
  readonly file: FileDevice.FileDevice["file"]
}

/**
 * Opens a file for reading: a device, unless it says that it has no size and yet has bytes, as those of /proc. That is read to its
 * end.
 *
 * @since 0.1.0
 * @category constructors
 */
export const source = (
  path: string
): Effect.Effect<
  FileSource,
  FileDevice.FileOpenError | FileCalls.FileError | RegularFile.NotRegularFileError,
  Scope.Scope
> =>
  FileDevice.open(path, { readOnly: true }).pipe(
    // Holes that it was said to have may be what was cut off.
    Effect.map((device): FileSource => ({ ...device, verify: device.verifySize })),
    Effect.catchIf(({ why }) => why === "NoSize", () => stream(path))
  )

const stream = (path: string): Effect.Effect<
  FileSource,
  FileCalls.FileError | RegularFile.NotRegularFileError,
  Scope.Scope
> =>
  Effect.map(RegularFile.open(path, "r"), ({ fd, stats }) => {
    const readToEnd = FileCalls.readingToEnd(fd, path)
    const inTurn = inOrder()
    return {
      name: path,
      size: undefined,
      geometry: { ...blockSize, canExtents: false },
      file: stats,
      extents: () => Stream.empty,
      readBorrowed: lending((offset, destination) =>
        inTurn(offset, destination.byteLength, readToEnd(offset, destination))
      )
    }
  })

/**
 * What a destination is asked for.
 *
 * @since 0.1.0
 * @category models
 */
export interface SinkOptions {
  /** The source, where that is a file as well. */
  readonly from: FileSource | undefined
  /** There are no holes. */
  readonly allocated: boolean
  /** It is written to itself, and not made anew beside what is there. */
  readonly inPlace: boolean
}

/**
 * Where nothing is made for it zeroes of any length are one call: 2^50 bytes, so that the largest file takes a few thousand
 * calls.
 */
const longestHole = 0x4_0000_0000_0000

/**
 * Makes a file, or replaces one, once the copy is complete. What is never written are holes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const sink = (
  path: string,
  { allocated, from, inPlace }: SinkOptions
): Effect.Effect<Sink, FileDraft.DraftError | RegularFile.NotRegularFileError | SameFileError, Scope.Scope> =>
  Effect.gen(function*() {
    const place = yield* FileDraft.placeOf(path)
    if (place.before !== undefined) yield* RegularFile.requireRegular(path, place.before)
    for (const name of inPlace ? [path] : [path, FileDraft.partOf(place)]) {
      if (from !== undefined && (yield* FileDraft.isFile(name, from.file))) {
        return yield* new SameFileError({ source: from.name, destination: name })
      }
    }
    const draft = yield* (inPlace ? FileDraft.inPlace(place) : FileDraft.beside(place))
    const truncate = FileCalls.truncating(draft.fd, path)
    // Emptied, even if it was empty, a file on ext4 is brought to the disk when it is closed: 1 s longer for 2 GiB.
    const empty = draft.isEmpty ? Effect.void : Effect.suspend(() => {
      draft.touch()
      return truncate(0n)
    })
    const writing = FileCalls.writing(draft.fd, path)
    const write: Sink["write"] = (offset, bytes) => {
      draft.touch()
      return writing(offset, bytes)
    }
    return {
      name: path,
      size: undefined,
      geometry: { ...blockSize, canZero: true },
      suited,
      longestZero: allocated ? undefined : longestHole,
      prepare: (size) => Effect.zipRight(empty, size === undefined ? Effect.void : truncate(size)),
      write,
      writeZeroes: allocated ? WrittenZeroes.by(write) : () => Effect.void,
      finish: truncate,
      flush: draft.flush,
      settle: draft.settle,
      left: draft.left
    }
  })

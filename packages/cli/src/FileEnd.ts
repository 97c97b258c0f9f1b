/**
 * Regular files as ends of a copy, read and written at positions. Pipes and devices, which have no positions or no size,
 * are refused.
 *
 * @since 0.1.0
 */
import * as FileCalls from "@effect-nbd/node/file/FileCalls"
import * as FileHoles from "@effect-nbd/node/file/FileHoles"
import * as RegularFile from "@effect-nbd/node/file/RegularFile"
import * as WrittenZeroes from "@effect-nbd/node/file/WrittenZeroes"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
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

/**
 * A file that is copied has become longer or shorter meanwhile: what was copied is neither what it was nor what it is.
 *
 * @since 0.1.0
 * @category errors
 */
export class SizeChangedError extends Data.TaggedError("SizeChangedError")<{
  readonly path: string
  /** When the copy began. */
  readonly before: bigint
  /** When all was read. */
  readonly after: bigint
}> {
  override get message(): string {
    return `${this.path} had ${this.before} bytes when the copy began, and has ${this.after} now`
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
  readonly stats: fs.BigIntStats
}

/**
 * Opens a file for reading. Where it has holes is asked if it has fewer blocks than its size would take. A file that has no
 * size and bytes all the same, as those of /proc, is read to its end.
 *
 * @since 0.1.0
 * @category constructors
 */
export const source = (
  path: string
): Effect.Effect<FileSource, FileCalls.FileError | RegularFile.NotRegularFileError, Scope.Scope> =>
  Effect.gen(function*() {
    const { fd, stats } = yield* RegularFile.open(path, "r")
    const readToEnd = FileCalls.readingToEnd(fd, path)
    const about = { name: path, blockSize, stats }
    if (stats.size === 0n && (yield* readToEnd(0n, new Uint8Array(1))) > 0) {
      const inTurn = inOrder()
      return {
        ...about,
        size: undefined,
        extents: undefined,
        read: lending((offset, destination) => inTurn(offset, destination.byteLength, readToEnd(offset, destination)))
      }
    }
    return {
      ...about,
      size: stats.size,
      // In blocks of 512 bytes, whatever those of the file system are.
      extents: stats.blocks * 512n < stats.size
        ? Stream.unwrapScoped(FileHoles.look(fd, { offset: 0n, length: stats.size }))
        : undefined,
      read: lending(FileCalls.reading(fd, path)),
      // What was taken for holes may be what was cut off.
      verify: Effect.flatMap(
        FileCalls.call<fs.BigIntStats>("read", path, (done) => fs.fstat(fd, { bigint: true }, done)),
        ({ size }) =>
          size === stats.size
            ? Effect.void
            : Effect.fail(new SizeChangedError({ path, before: stats.size, after: size }))
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
      if (from !== undefined && (yield* FileDraft.isFile(name, from.stats))) {
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
      capacity: undefined,
      blockSize,
      suited,
      longestZero: allocated ? undefined : longestHole,
      prepare: (size) => Effect.zipRight(empty, size === undefined ? Effect.void : truncate(size)),
      write,
      zero: allocated ? WrittenZeroes.by(write) : () => Effect.void,
      finish: truncate,
      flush: draft.flush,
      settle: draft.settle,
      left: draft.left
    }
  })

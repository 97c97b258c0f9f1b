/**
 * A file that is being written, and takes its place when it is complete.
 *
 * What is written goes to a file beside it, NAME.part, so that a copy that fails leaves what was there before, and nothing
 * that looks whole. The owner of that file is who has locked it: one that nobody has is left from a copy that failed, and
 * is written over. A file that takes the place of another has its mode, and its owner where the system allows it; access
 * control lists are not kept, and other names of the old file (hard links) keep the old content.
 *
 * `inPlace` writes to the file itself instead.
 *
 * @since 0.1.0
 */
import * as FileCalls from "@effect-nbd/node/file/FileCalls"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import { dirname, isAbsolute } from "node:path"
import * as FileLock from "./FileLock.ts"

/**
 * Another process writes to the same destination. Nothing was written.
 *
 * @since 0.1.0
 * @category errors
 */
export class DestinationBusyError extends Data.TaggedError("DestinationBusyError")<{
  readonly path: string
  /** The file that it writes to. */
  readonly part: string
}> {
  override get message(): string {
    return `another copy to ${this.path} is under way: it writes to ${this.part}`
  }
}

/**
 * No file can be made beside the destination. Nothing was written.
 *
 * @since 0.1.0
 * @category errors
 */
export class CannotWriteBesideError extends Data.TaggedError("CannotWriteBesideError")<{
  readonly path: string
  readonly part: string
  readonly reason: string
}> {
  override get message(): string {
    return `a copy is first written to ${this.part}, and that cannot be: ${this.reason}; --in-place writes to ${this.path} itself`
  }
}

/**
 * @since 0.1.0
 * @category models
 */
export type DraftError = FileCalls.FileError | DestinationBusyError | CannotWriteBesideError

/**
 * Where a path leads to.
 *
 * @since 0.1.0
 * @category models
 */
export interface Place {
  /** As it was given. */
  readonly path: string
  /** Behind all symbolic links. */
  readonly target: string
  /** The file that is there. */
  readonly before: fs.BigIntStats | undefined
}

/**
 * Closed with the scope. What nothing was written to is gone then, if it was not there before.
 *
 * @since 0.1.0
 * @category models
 */
export interface Draft {
  readonly fd: number
  /** What it is called until it is complete. */
  readonly path: string
  /** It has no bytes yet. */
  readonly isEmpty: boolean
  /** Something is about to be written. */
  readonly touch: () => void
  /** Makes durable what was written. */
  readonly flush: Effect.Effect<void, FileCalls.FileError>
  /** It is complete: closes it, and puts it in its place; durably, where it was flushed. */
  readonly settle: Effect.Effect<void, FileCalls.FileError>
  /** What is left of a copy of which the first so many bytes were written; `undefined` where that is nothing, or all. */
  readonly left: (upTo: bigint) => string | undefined
}

/** As many as Linux follows. */
const mostLinks = 40

/**
 * Follows symbolic links, also to where nothing is yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const placeOf = (path: string): Effect.Effect<Place, FileCalls.FileError> =>
  Effect.gen(function*() {
    let target = path
    for (let links = 0; links < mostLinks && !isProcess(target); links++) {
      const found = yield* Effect.option(
        FileCalls.call<string>("open", target, (done) => fs.readlink(target, done))
      )
      if (Option.isNone(found)) break
      // Not normalised: `..` behind a symbolic link is for the system to follow.
      target = isAbsolute(found.value) ? found.value : `${dirname(target)}/${found.value}`
    }
    return { path, target, before: yield* statsOf(path) }
  })

/** Links there lead to open files, which need not have a name. */
const isProcess = (path: string): boolean => path.startsWith("/proc/")

/**
 * What the file is called before it is complete.
 *
 * @since 0.1.0
 * @category getters
 */
export const partOf = ({ target }: Place): string => `${target}.part`

/** What stat(2) tells a file by. */
type Identity = Pick<fs.BigIntStats, "dev" | "ino">

/**
 * Whether a path leads to that file.
 *
 * @since 0.1.0
 * @category guards
 */
export const isFile = (path: string, file: Identity): Effect.Effect<boolean, FileCalls.FileError> =>
  Effect.map(statsOf(path), (found) => isSame(file, found))

const statsOf = (path: string): Effect.Effect<fs.BigIntStats | undefined, FileCalls.FileError> =>
  FileCalls.call<fs.BigIntStats>("open", path, (done) => fs.stat(path, { bigint: true }, done)).pipe(
    Effect.catchIf(({ code }) => code === "ENOENT", () => Effect.succeed(undefined))
  )

/**
 * A new file, beside where it is to be once it is complete. Whatever is there by then it replaces. Where that is not
 * possible, as for `/dev/stdout`, it is `inPlace`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const beside = (place: Place): Effect.Effect<Draft, DraftError, Scope.Scope> =>
  isProcess(place.target) ? inPlace(place) : Effect.gen(function*() {
    const { before, path, target } = place
    const part = partOf(place)
    if (before !== undefined) yield* requireWritable(place)
    const { close, fd, release } = yield* Effect.catchTag(
      claim(place, part),
      "FileError",
      (error) => refused(place, part, error)
    )
    let state: "Empty" | "Begun" | "Flushed" | "Complete" = "Empty"
    yield* Effect.addFinalizer(() => state === "Empty" ? Effect.ignore(remove(part)) : Effect.void)
    const flush = Effect.tap(
      FileCalls.call<void>("flush", part, (done) => fs.fsync(fd, done)),
      () => {
        state = "Flushed"
      }
    )
    const settle = Effect.gen(function*() {
      const isDurable = state === "Flushed"
      if (before !== undefined) yield* adopt(fd, part, before)
      // Otherwise a power cut could leave neither the old content nor the new.
      if (before !== undefined && before.size > 0n && !isDurable) yield* flush
      yield* close
      yield* FileCalls.call<void>("replace", target, (done) => fs.rename(part, target, done))
      state = "Complete"
      yield* release
      if (isDurable) yield* flushFolder(target)
    })
    return {
      fd,
      path: part,
      isEmpty: true,
      touch: () => {
        state = "Begun"
      },
      flush,
      settle: Effect.uninterruptible(settle),
      left: (upTo) =>
        state === "Empty" || state === "Complete"
          ? undefined
          : `${path} ${before === undefined ? "was not made" : "is as it was"}. ` +
            `${part} has ${someOf(upTo)}: remove it, or copy again, which writes over it`
    }
  })

/**
 * The file itself, made if it is not there. It is not emptied.
 *
 * @since 0.1.0
 * @category constructors
 */
export const inPlace = ({ before, path, target }: Place): Effect.Effect<Draft, FileCalls.FileError, Scope.Scope> =>
  Effect.gen(function*() {
    const { close, fd } = yield* FileCalls.open(path, fs.constants.O_WRONLY | fs.constants.O_CREAT)
    let state: "Empty" | "Begun" | "Flushed" | "Complete" = "Empty"
    yield* Effect.addFinalizer(() =>
      state === "Empty" && before === undefined ? Effect.ignore(remove(target)) : Effect.void
    )
    const flush = FileCalls.call<void>("flush", path, (done) => fs.fsync(fd, done))
    return {
      fd,
      path,
      isEmpty: before === undefined || before.size === 0n,
      touch: () => {
        state = "Begun"
      },
      flush: Effect.tap(flush, () => {
        state = "Flushed"
      }),
      settle: Effect.uninterruptible(Effect.gen(function*() {
        const isDurable = state === "Flushed"
        yield* close
        state = "Complete"
        if (isDurable && before === undefined) yield* flushFolder(target)
      })),
      left: (upTo) =>
        state === "Empty" || state === "Complete"
          ? undefined
          : `${path} is incomplete: it has ${someOf(upTo)}. Copy again`
    }
  })

const someOf = (upTo: bigint): string => upTo === 0n ? "some of the copy" : `the first ${upTo} bytes of the copy`

/** A file that may not be written to is not replaced either. */
const requireWritable = ({ path, target }: Place): Effect.Effect<void, FileCalls.FileError> =>
  FileCalls.call<void>("open", path, (done) => fs.access(target, fs.constants.W_OK, done))

const remove = (path: string): Effect.Effect<void, FileCalls.FileError> =>
  FileCalls.call<void>("remove", path, (done) => fs.unlink(path, done))

/** What only a file beside it is refused for. */
const besideAlone: ReadonlySet<string> = new Set(["EACCES", "EPERM", "EROFS", "ENAMETOOLONG", "ELOOP"])

const refused = (
  { before, path }: Place,
  part: string,
  error: FileCalls.FileError
): Effect.Effect<never, FileCalls.FileError | CannotWriteBesideError> =>
  besideAlone.has(error.code) && (before !== undefined || error.code === "ENAMETOOLONG")
    ? Effect.fail(new CannotWriteBesideError({ path, part, reason: `${error.reason} (${error.code})` }))
    : Effect.fail(new FileCalls.FileError({ operation: "open", path, code: error.code, reason: error.reason }))

/** Others may come and go in between. */
const mostAttempts = 5

const isSame = (one: Identity, other: fs.BigIntStats | undefined): boolean =>
  other !== undefined && one.dev === other.dev && one.ino === other.ino

interface Claimed extends FileCalls.Opened {
  /** Gives up the lock. */
  readonly release: Effect.Effect<void, FileCalls.FileError>
}

/** Makes the file, with a lock on it that lasts until it is released. */
const claim = (place: Place, part: string): Effect.Effect<Claimed, DraftError, Scope.Scope> =>
  Effect.gen(function*() {
    const busy = new DestinationBusyError({ path: place.path, part })
    // Of what is to replace a file nobody sees more than of that.
    const mode = place.before === undefined ? 0o666 : 0o600
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR, O_WRONLY } = fs.constants
    for (let attempt = 0; attempt < mostAttempts; attempt++) {
      const made = yield* FileCalls.open(part, O_RDWR | O_CREAT | O_EXCL, mode).pipe(
        Effect.map(Option.some),
        Effect.catchIf(({ code }) => code === "EEXIST", () => Effect.succeedNone)
      )
      if (Option.isNone(made)) {
        yield* Effect.scoped(clear(place, part))
        continue
      }
      // Another may have taken the new file for an old one before it was locked.
      if (
        (yield* FileLock.take(made.value.fd)) === "Held" || !isSame(made.value.stats, yield* statsOf(part))
      ) return yield* busy
      // Opened once more: the lock has to last until it is closed and renamed.
      return { ...yield* FileCalls.open(part, O_WRONLY | O_NOFOLLOW), release: made.value.close }
    }
    return yield* busy
  })

/** Removes what is left from a copy that failed. */
const clear = (place: Place, part: string): Effect.Effect<void, DraftError, Scope.Scope> =>
  Effect.gen(function*() {
    const { O_NOFOLLOW, O_NONBLOCK, O_RDWR } = fs.constants
    const { fd, stats } = yield* FileCalls.open(part, O_RDWR | O_NOFOLLOW | O_NONBLOCK)
    const inTheWay = (reason: string) => new CannotWriteBesideError({ path: place.path, part, reason })
    if (!stats.isFile()) return yield* inTheWay("it is there, and no file")
    const lock = yield* FileLock.take(fd)
    if (lock === "Held") return yield* new DestinationBusyError({ path: place.path, part })
    if (lock === "Unknown") return yield* inTheWay("it is there, and whether another copy uses it cannot be known")
    if (isSame(stats, yield* statsOf(part))) yield* remove(part)
  }).pipe(
    // It is gone by itself.
    Effect.catchIf((error) => error._tag === "FileError" && error.code === "ENOENT", () => Effect.void)
  )

/** Gives it the mode of the file that it replaces, and its owner, as far as the system allows it. */
const adopt = (fd: number, part: string, before: fs.BigIntStats): Effect.Effect<void, FileCalls.FileError> => {
  // Ids of users have 32 bits, and modes 16.
  const [uid, gid, mode] = [Number(before.uid), Number(before.gid), Number(before.mode & 0o777n)]
  const chown = (owner: number) => FileCalls.call<void>("create", part, (done) => fs.fchown(fd, owner, gid, done))
  return Effect.zipRight(
    // -1 leaves the owner as it is: whoever is in a group may give a file of theirs to it.
    chown(uid).pipe(Effect.orElse(() => chown(-1)), Effect.ignore),
    FileCalls.call<void>("create", part, (done) => fs.fchmod(fd, mode, done))
  )
}

/** Makes a name durable. */
const flushFolder = (path: string): Effect.Effect<void, FileCalls.FileError> =>
  Effect.scoped(Effect.gen(function*() {
    const folder = dirname(path)
    const { fd } = yield* FileCalls.open(folder, "r")
    yield* FileCalls.call<void>("flush", folder, (done) => fs.fsync(fd, done))
  }))

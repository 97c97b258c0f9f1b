/**
 * Regular files as block devices.
 *
 * Node.js can neither ask where a file has holes nor make some. Where they are is asked of Perl or Python, the one that is
 * there; without either everything is said to be data. Zeroes are written, and there is no trim.
 *
 * @since 0.1.0
 */
import * as BlockDevice from "@effect-nbd/block/BlockDevice"
import { DeviceError, type Errno, type Operation, type RequestRefusedError } from "@effect-nbd/block/DeviceError"
import { type Extent, joined } from "@effect-nbd/block/Extent"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
import * as FileCalls from "./file/FileCalls.ts"
import * as FileHoles from "./file/FileHoles.ts"
import * as RegularFile from "./file/RegularFile.ts"
import * as WrittenZeroes from "./file/WrittenZeroes.ts"

/**
 * A file cannot be a device.
 *
 * @since 0.1.0
 * @category errors
 */
export class FileOpenError extends Data.TaggedError("NbdFileOpenError")<{
  readonly path: string
  /**
   * `Refused`: the system did not open it. `NotRegular`: it is a directory, a device, a pipe or a socket. `NoSize`: it has
   * bytes and says that it has none, as the files of /proc.
   */
  readonly why: "Refused" | "NotRegular" | "NoSize"
  /** The system's name for why it refused, for example `ENOENT`. */
  readonly code?: string
  /** In words. */
  readonly reason: string
}> {
  override get message(): string {
    return this.why === "Refused"
      ? `cannot open ${this.path}: ${this.reason} (${this.code})`
      : `${this.path} ${this.reason}`
  }
}

/**
 * What can become of a request.
 *
 * @since 0.1.0
 * @category errors
 */
export type FileDeviceError = DeviceError | RequestRefusedError

/**
 * An open file. Its size is that which it had when it was opened.
 *
 * @since 0.1.0
 * @category models
 */
export interface FileDevice extends BlockDevice.BlockDevice<FileDeviceError> {
  /** Which file it is, as stat(2) tells it: equal for two devices that are one file, also under different paths. */
  readonly file: { readonly dev: bigint; readonly ino: bigint }
  /**
   * Fails where the file has become longer or shorter since it was opened. What was said to be a hole may be what was cut
   * off, so this is to be run after the last read by those who need the whole file as it was.
   */
  readonly verifySize: Effect.Effect<void, DeviceError>
  /**
   * Closes the file, once the requests under way are done, and tells what the system says to that: some file systems tell
   * only then that bytes could not be stored. The scope does the same, and does not tell. Requests fail with ESHUTDOWN
   * afterwards.
   */
  readonly close: Effect.Effect<void, DeviceError>
}

/**
 * How a file is opened.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** It is not written to, and need not be writable. `false` by default. */
  readonly readOnly?: boolean | undefined
}

/** The longest read or write, in bytes: calls of the system take less than 2 GiB. */
const longest = 0x4000_0000

/**
 * Opens a file that is there, until the scope is closed. Symbolic links are followed.
 *
 * It takes any offset and length, up to 1 GiB at a time, also beyond 2^53. A read of what is not there any more, since the
 * file has become shorter, fails with EIO. `fua` and `flush` are fdatasync(2). Of what the system said its name is kept in
 * the `reason` of a `DeviceError`, whose `errno` is the nearest that NBD has. A call cannot be called back: an interruption
 * waits for it.
 *
 * @example
 * import { FileDevice } from "@effect-nbd/node"
 * import * as Effect from "effect/Effect"
 *
 * // The first sector of a disk image.
 * export const bootSector = (path: string) =>
 *   Effect.scoped(
 *     Effect.flatMap(FileDevice.open(path, { readOnly: true }), (device) => device.read(0n, 512))
 *   )
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = (
  path: string,
  { readOnly = false }: Options = {}
): Effect.Effect<FileDevice, FileOpenError, Scope.Scope> =>
  Effect.gen(function*() {
    const refused = Effect.mapError((error: FileCalls.FileError | RegularFile.NotRegularFileError) =>
      openError(path, error)
    )
    const opened = yield* refused(RegularFile.open(path, readOnly ? "r" : "r+"))
    const { fd, stats } = opened
    if (stats.size === 0n && (yield* refused(FileCalls.readingToEnd(fd, path)(0n, new Uint8Array(1)))) > 0) {
      const reason = "has bytes but no size, and so cannot be a block device"
      return yield* new FileOpenError({ path, why: "NoSize", reason })
    }
    const use = new Use()
    yield* Effect.addFinalizer(() => use.end)
    return yield* deviceOf(path, opened, use, readOnly)
  })

const deviceOf = (
  path: string,
  { close, fd, stats: { dev, ino, size } }: FileCalls.Opened,
  use: Use,
  readOnly: boolean
): Effect.Effect<FileDevice> => {
  /** Runs a call with the file, unless that is closed: its number may be another file's by then. */
  const during = <A, R>(
    operation: Operation,
    offset: bigint,
    length: bigint,
    call: () => Effect.Effect<A, CallError, R>
  ): Effect.Effect<A, DeviceError, R> =>
    // A call that was begun and not done would keep the file open for ever.
    Effect.uninterruptibleMask((restore): Effect.Effect<A, DeviceError, R> => {
      const about = { device: path, operation, offset, length }
      if (!use.begin()) return new DeviceError({ ...about, errno: "ESHUTDOWN", reason: "the file is closed" })
      const called = Effect.mapError(restore(call()), (error) => new DeviceError({ ...about, ...told(error) }))
      return Effect.ensuring(called, use.done)
    })

  const statistics = FileCalls.call<fs.BigIntStats>("read", path, (done) => fs.fstat(fd, { bigint: true }, done))
  const read = FileCalls.reading(fd, path)
  const write = FileCalls.writing(fd, path)
  const zero = WrittenZeroes.by(write)
  const look = (offset: bigint, length: bigint): Effect.Effect<Stream.Stream<Extent>, CallError, Scope.Scope> =>
    Effect.flatMap(statistics, (now) =>
      isSparse(now)
        ? Effect.map(FileHoles.look(fd, { offset, length }), (found) => joined(filled(found, offset, length)))
        : Effect.succeed(Stream.succeed(dataFrom(offset, length))))
  const changes = {
    write: (offset: bigint, bytes: Uint8Array) =>
      during("write", offset, BigInt(bytes.byteLength), () => write(offset, bytes)),
    writeZeroes: (offset: bigint, length: bigint, { fast = false }: BlockDevice.ZeroOptions) =>
      fast ? slow(path, offset, length) : during("writeZeroes", offset, length, () => zero(offset, length)),
    flush: during("flush", 0n, 0n, () => FileCalls.call<void>("flush", path, (done) => fs.fdatasync(fd, done)))
  }
  const functions = BlockDevice.fromFunctions<DeviceError>({
    name: path,
    size,
    maximum: longest,
    // It fails at once, always.
    canFastZero: !readOnly,
    readInto: (offset, destination) =>
      Effect.asVoid(during("read", offset, BigInt(destination.byteLength), () => read(offset, destination))),
    extents: (offset, length) => Stream.unwrapScoped(during("extents", offset, length, () => look(offset, length))),
    ...readOnly ? {} : changes
  })
  // No file has a size that a device cannot have.
  return Effect.map(Effect.orDie(functions), (device): FileDevice => ({
    ...device,
    file: { dev, ino },
    verifySize: Effect.flatMap(
      during("read", 0n, size, () => statistics),
      (now) => now.size === size ? Effect.void : sizeChanged(path, size, now.size)
    ),
    close: Effect.zipRight(
      use.end,
      Effect.mapError(
        close,
        (error) => new DeviceError({ device: path, operation: "flush", offset: 0n, length: 0n, ...told(error) })
      )
    )
  }))
}

/** Counts the calls that use the file, so that it is closed when there are none. */
class Use {
  private calls = 0
  private isOver = false
  private readonly idle = Deferred.unsafeMake<void>(FiberId.none)

  /** Whether it may be used. Where it may, `done` is to follow. */
  begin(): boolean {
    if (!this.isOver) this.calls++
    return !this.isOver
  }

  readonly done: Effect.Effect<void> = Effect.sync(() => {
    this.calls--
    if (this.isOver && this.calls === 0) Deferred.unsafeDone(this.idle, Effect.void)
  })

  /** Lets no more calls in, and waits for those that are. */
  readonly end: Effect.Effect<void> = Effect.suspend(() => {
    this.isOver = true
    return this.calls === 0 ? Effect.void : Deferred.await(this.idle)
  })
}

/** stat(2) counts blocks of 512 bytes, also where those of the file system are others. */
const isSparse = ({ blocks, size }: fs.BigIntStats): boolean => blocks * 512n < size

const dataFrom = (offset: bigint, length: bigint): Extent => ({ offset, length, allocated: true, zero: false })

/** Extents of a range, and for what they do not reach, that it may be anything. */
const filled = (extents: Stream.Stream<Extent>, offset: bigint, length: bigint): Stream.Stream<Extent> =>
  Stream.suspend(() => {
    let at = offset
    const end = offset + length
    const known = Stream.map(extents, (extent) => {
      at = extent.offset + extent.length
      return extent
    })
    return Stream.concat(known, Stream.suspend(() => at < end ? Stream.succeed(dataFrom(at, end - at)) : Stream.empty))
  })

const openError = (path: string, error: FileCalls.FileError | RegularFile.NotRegularFileError): FileOpenError =>
  error._tag === "FileError"
    ? new FileOpenError({ path, why: "Refused", code: error.code, reason: error.reason })
    : new FileOpenError({ path, why: "NotRegular", reason: `is a ${error.found}, not a regular file` })

const slow = (path: string, offset: bigint, length: bigint): Effect.Effect<never, DeviceError> =>
  new DeviceError({
    device: path,
    operation: "writeZeroes",
    offset,
    length,
    errno: "ENOTSUP",
    reason: "zeroes have to be written"
  })

const sizeChanged = (path: string, before: bigint, now: bigint): DeviceError =>
  new DeviceError({
    device: path,
    operation: "read",
    offset: 0n,
    length: before,
    errno: "EIO",
    reason: `the file had ${before} bytes when it was opened, and has ${now} now`
  })

type CallError = FileCalls.FileError | FileCalls.FileTooShortError

/** What happened, without the path: a server may tell it to its clients. */
const told = (error: CallError): { readonly errno: Errno; readonly reason: string } =>
  error._tag === "FileError"
    ? {
      errno: errnoOf(error.code),
      reason: `cannot ${error.operation} the file: ${error.reason} (${error.code})`
    }
    : { errno: "EIO", reason: `the file ended at ${error.offset}, before its size: it has become shorter` }

/** The nearest that NBD has to what the system calls it. */
const errnoOf = (code: string): Errno => nearest[code] ?? "EIO"

const nearest: Readonly<Record<string, Errno>> = {
  EPERM: "EPERM",
  ENOMEM: "ENOMEM",
  EINVAL: "EINVAL",
  ENOSPC: "ENOSPC",
  EDQUOT: "ENOSPC",
  EFBIG: "ENOSPC",
  EOVERFLOW: "EOVERFLOW",
  ENOTSUP: "ENOTSUP",
  ESHUTDOWN: "ESHUTDOWN"
}

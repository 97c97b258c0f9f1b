/**
 * A regular file as the device of an export.
 *
 * Node can neither ask where its holes are nor make some: everything is said to be data, zeroes are written, and there is
 * no trim.
 *
 * @since 0.1.0
 */
import * as BlockDevice from "@effect-nbd/block/BlockDevice"
import { DeviceError, type Errno, type Operation, type RequestRefusedError } from "@effect-nbd/block/DeviceError"
import * as Geometry from "@effect-nbd/block/Geometry"
import * as FileCalls from "@effect-nbd/node/file/FileCalls"
import * as RegularFile from "@effect-nbd/node/file/RegularFile"
import * as WrittenZeroes from "@effect-nbd/node/file/WrittenZeroes"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"

/**
 * The file has bytes, and is said to have none, as those of /proc: it cannot be served.
 *
 * @since 0.1.0
 * @category errors
 */
export class NoSizeError extends Data.TaggedError("NoSizeError")<{ readonly path: string }> {
  override get message(): string {
    return `${this.path} has bytes but no size, and so cannot be an export`
  }
}

/**
 * Opens the file until the scope is closed. Its size is that of the device, whatever happens to the file. `maximum` is the
 * longest read or write, in bytes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  path: string,
  options: { readonly readOnly: boolean; readonly maximum?: number | undefined }
): Effect.Effect<
  BlockDevice.BlockDevice<DeviceError | RequestRefusedError>,
  FileCalls.FileError | RegularFile.NotRegularFileError | NoSizeError | Geometry.GeometryError,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const { fd, stats } = yield* RegularFile.open(path, options.readOnly ? "r" : "r+")
    if (stats.size === 0n && (yield* FileCalls.readingToEnd(fd, path)(0n, new Uint8Array(1))) > 0) {
      return yield* new NoSizeError({ path })
    }
    const fill = FileCalls.reading(fd, path)
    const facts = {
      name: path,
      size: stats.size,
      maximum: Math.max(options.maximum ?? 0, Geometry.defaults.maximum),
      readInto: (offset: bigint, destination: Uint8Array) =>
        Effect.mapError(fill(offset, destination), failed(path, "read", offset, BigInt(destination.byteLength)))
    }
    if (options.readOnly) return yield* BlockDevice.fromFunctions(facts)
    const writing = FileCalls.writing(fd, path)
    const write = (offset: bigint, bytes: Uint8Array) =>
      Effect.mapError(writing(offset, bytes), failed(path, "write", offset, BigInt(bytes.byteLength)))
    const flushing = FileCalls.call<void>("flush", path, (done) => fs.fdatasync(fd, done))
    const zero = WrittenZeroes.by(write)
    return yield* BlockDevice.fromFunctions({
      ...facts,
      write,
      canFastZero: true,
      writeZeroes: (offset, length, { fast }) =>
        fast === true
          ? new DeviceError({
            device: path,
            operation: "writeZeroes",
            offset,
            length,
            errno: "ENOTSUP",
            reason: "zeroes have to be written"
          })
          : zero(offset, length),
      flush: Effect.mapError(flushing, failed(path, "flush", 0n, 0n))
    })
  })

const failed =
  (device: string, operation: Operation, offset: bigint, length: bigint) =>
  (error: FileCalls.FileError | FileCalls.FileTooShortError): DeviceError =>
    new DeviceError({
      device,
      operation,
      offset,
      length,
      ...error._tag === "FileError"
        ? { errno: errnoOf(error.code), reason: `cannot ${error.operation} the file: ${error.reason}` }
        : { errno: "EIO", reason: "the file has become shorter" }
    })

const known: ReadonlyMap<string, Errno> = new Map([
  ...(["EPERM", "EIO", "ENOMEM", "EINVAL", "ENOSPC", "EOVERFLOW", "ENOTSUP", "ESHUTDOWN"] as const)
    .map((errno) => [errno, errno] as const),
  ["EDQUOT", "ENOSPC"],
  ["EFBIG", "ENOSPC"]
])

const errnoOf = (code: string): Errno => known.get(code) ?? "EIO"

/** What is at the destination of a copy to a file: while it runs, when it is done, and when it has failed. */
import * as Copy from "#cli/Copy"
import { lending, type Source } from "#cli/CopyEnds"
import * as FileDraft from "#cli/FileDraft"
import * as FileEnd from "#cli/FileEnd"
import * as FileLock from "#cli/FileLock"
import { describe, expect, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { join } from "node:path"
import { isInstalled, itWith } from "./support/programs.ts"
import { folder } from "./support/servers.ts"

class Broken extends Data.TaggedError("Broken")<{ readonly message: string }> {}

const size = 2_000_000
const bytes = randomBytes(size)

/** Reads `bytes`; what begins at `bad` or behind is what `otherwise` says. */
const sourceOf = (otherwise: Effect.Effect<never, Broken> = Effect.never, bad = size): Source => ({
  name: "source",
  size: BigInt(size),
  geometry: { minimum: 1, preferred: 4096, maximum: 1_048_576, canExtents: false },
  extents: () => Stream.empty,
  readBorrowed: lending((offset, destination) => {
    const at = Number(offset)
    if (at >= bad) return otherwise
    destination.set(bytes.subarray(at, at + destination.byteLength))
    return Effect.succeed(destination.byteLength)
  })
})

const usual = { from: undefined, allocated: false, inPlace: false }

interface Told {
  readonly error: { readonly _tag: string; readonly message: string } | undefined
  readonly left: string | undefined
}

const copied = (
  source: Source,
  path: string,
  options: Partial<FileEnd.SinkOptions> & Copy.Options = {}
): Effect.Effect<Told> =>
  Effect.gen(function*() {
    let left: string | undefined
    const error = yield* Effect.scoped(Effect.gen(function*() {
      const sink = yield* FileEnd.sink(path, { ...usual, ...options })
      yield* Copy.copy(source, sink, {
        requests: 1,
        requestSize: 262_144,
        ...options,
        onIncomplete: (words) => {
          left = words
        }
      })
    })).pipe(Effect.match({ onFailure: (error) => error, onSuccess: () => undefined }))
    return { error, left }
  })

const destination: Effect.Effect<string, never, Scope.Scope> = Effect.map(folder, (path) => join(path, "disk.img"))

const isOld = (path: string): boolean => fs.readFileSync(path, "utf8") === "old"

describe("a copy to a file", () => {
  it.scopedLive("takes its place when it is complete, with the mode of what it replaces", () =>
    Effect.gen(function*() {
      const path = yield* destination
      expect(yield* copied(sourceOf(), path)).toEqual({ error: undefined, left: undefined })
      expect(fs.readFileSync(path).equals(bytes)).toBe(true)
      expect(fs.statSync(path).mode & 0o777).toBe(0o666 & ~process.umask())
      fs.writeFileSync(path, "old")
      fs.chmodSync(path, 0o640)
      const other = `${path}.other`
      fs.linkSync(path, other)
      expect(yield* copied(sourceOf(), path, { flush: true })).toEqual({ error: undefined, left: undefined })
      expect(fs.readFileSync(path).equals(bytes)).toBe(true)
      expect(fs.statSync(path).mode & 0o777).toBe(0o640)
      // Another name of the old file, as in a backup of hard links, still has the old content.
      expect(isOld(other)).toBe(true)
      expect(fs.readdirSync(join(path, "..")).toSorted()).toEqual(["disk.img", "disk.img.other"])
    }))

  it.scopedLive("that fails leaves what was there, and says what is left", () =>
    Effect.gen(function*() {
      const path = yield* destination
      const bad = sourceOf(Effect.fail(new Broken({ message: "lost" })), 1_048_576)
      const first = yield* copied(bad, path)
      expect(first.error?.message).toBe("read at offset 1048576 of source failed: lost")
      expect(first.left).toBe(
        `${path} was not made. ${path}.part has the first 1048576 bytes of the copy: ` +
          "remove it, or copy again, which writes over it"
      )
      expect(fs.existsSync(path)).toBe(false)
      expect(fs.readFileSync(`${path}.part`).subarray(0, 1_048_576).equals(bytes.subarray(0, 1_048_576))).toBe(true)
      fs.writeFileSync(path, "old")
      const second = yield* copied(bad, path)
      expect(second.left).toContain(`${path} is as it was. ${path}.part has`)
      expect(isOld(path)).toBe(true)
      // What is left is written over.
      expect(yield* copied(sourceOf(), path)).toEqual({ error: undefined, left: undefined })
      expect(fs.readFileSync(path).equals(bytes)).toBe(true)
      expect(fs.existsSync(`${path}.part`)).toBe(false)
    }))

  it.scopedLive("that is interrupted does the same", () =>
    Effect.gen(function*() {
      const path = yield* destination
      fs.writeFileSync(path, "old")
      const reached = yield* Deferred.make<void>()
      const source = sourceOf(Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never), 524_288)
      let left = ""
      const copying = yield* Effect.fork(Effect.scoped(Effect.gen(function*() {
        const sink = yield* FileEnd.sink(path, usual)
        yield* Copy.copy(source, sink, {
          requests: 1,
          requestSize: 262_144,
          onIncomplete: (words) => {
            left = words
          }
        })
      })))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(copying)
      expect(left).toContain("disk.img is as it was. ")
      expect(left).toContain("disk.img.part has the first 524288 bytes")
      expect(isOld(path)).toBe(true)
    }))

  it.scopedLive("that is refused, or fails before anything is written, leaves nothing", () =>
    Effect.gen(function*() {
      const path = yield* destination
      const odd = {
        ...sourceOf(),
        size: BigInt(size - 1),
        geometry: { minimum: 512, preferred: 512, maximum: 65_536, canExtents: false }
      }
      expect((yield* copied(odd, path)).error?._tag).toBe("SizeUnalignedError")
      const bad = sourceOf(Effect.fail(new Broken({ message: "lost" })), 0)
      for (const inPlace of [false, true]) {
        expect(yield* copied(bad, path, { inPlace })).toMatchObject({ error: { _tag: "CopyError" }, left: undefined })
        expect(fs.readdirSync(join(path, ".."))).toEqual([])
      }
    }))

  it.scopedLive("in place is the file itself, and says that it is incomplete", () =>
    Effect.gen(function*() {
      const path = yield* destination
      fs.writeFileSync(path, "old")
      const before = fs.statSync(path).ino
      const bad = sourceOf(Effect.fail(new Broken({ message: "lost" })), 1_048_576)
      const { left } = yield* copied(bad, path, { inPlace: true })
      expect(left).toBe(`${path} is incomplete: it has the first 1048576 bytes of the copy. Copy again`)
      expect(yield* copied(sourceOf(), path, { inPlace: true })).toEqual({ error: undefined, left: undefined })
      expect(fs.readFileSync(path).equals(bytes)).toBe(true)
      expect([fs.statSync(path).ino, fs.readdirSync(join(path, ".."))]).toEqual([before, ["disk.img"]])
    }))

  it.scopedLive("through a symbolic link goes to where that leads", () =>
    Effect.gen(function*() {
      const path = yield* destination
      const [directory, link] = [join(path, "..", "sub"), join(path, "..", "link")]
      fs.mkdirSync(directory)
      fs.symlinkSync("sub/first", link)
      fs.symlinkSync("real", join(directory, "first"))
      for (const _ of ["not there yet", "there"]) {
        expect(yield* copied(sourceOf(), link)).toEqual({ error: undefined, left: undefined })
        expect(fs.readlinkSync(link)).toBe("sub/first")
        expect(fs.lstatSync(join(directory, "real")).isFile()).toBe(true)
        expect(fs.readFileSync(link).equals(bytes)).toBe(true)
      }
      expect(fs.readdirSync(directory).toSorted()).toEqual(["first", "real"])
    }))

  it.scopedLive("is refused where its own source is what it would write to", () =>
    Effect.gen(function*() {
      const path = yield* destination
      for (const name of [path, `${path}.part`]) {
        fs.writeFileSync(name, "old")
        const from = yield* FileEnd.source(name)
        expect((yield* copied(from, path, { from })).error?._tag).toBe("SameFileError")
        expect(isOld(name)).toBe(true)
      }
    }))

  itWith(...FileLock.lockers.slice(0, 1).map(({ command }) => command))(
    "does not touch what another copy writes to",
    () =>
      Effect.gen(function*() {
        const path = yield* destination
        const reached = yield* Deferred.make<void>()
        const go = yield* Deferred.make<void>()
        const slow: Source = {
          ...sourceOf(),
          readBorrowed: (offset, length, use) =>
            Effect.zipRight(
              Effect.zipRight(Deferred.succeed(reached, undefined), Deferred.await(go)),
              sourceOf().readBorrowed(offset, length, use)
            )
        }
        const other = yield* Effect.fork(copied(slow, path))
        yield* Deferred.await(reached)
        const { error } = yield* copied(sourceOf(), path)
        expect(error?._tag).toBe("DestinationBusyError")
        expect(error?.message).toBe(`another copy to ${path} is under way: it writes to ${path}.part`)
        yield* Deferred.succeed(go, undefined)
        expect(yield* Fiber.join(other)).toEqual({ error: undefined, left: undefined })
        expect(fs.readFileSync(path).equals(bytes)).toBe(true)
      })
  )

  it.scopedLive("says where it cannot write beside the destination that --in-place can", () =>
    Effect.gen(function*() {
      const path = yield* destination
      fs.writeFileSync(path, "old")
      fs.mkdirSync(`${path}.part`)
      const { error } = yield* copied(sourceOf(), path)
      expect(error?._tag).not.toBe("CopyError")
      expect(isOld(path)).toBe(true)
      const long = join(path, "..", "x".repeat(252))
      expect((yield* copied(sourceOf(), long)).error?.message).toContain("--in-place writes to")
      expect(yield* copied(sourceOf(), long, { inPlace: true })).toEqual({ error: undefined, left: undefined })
    }))

  it.scopedLive("has failed where the file cannot be closed, and is not put in its place", () =>
    Effect.gen(function*() {
      const path = yield* destination
      fs.writeFileSync(path, "old")
      for (const inPlace of [false, true]) {
        const place = yield* FileDraft.placeOf(path)
        const draft = yield* (inPlace ? FileDraft.inPlace(place) : FileDraft.beside({ ...place, before: undefined }))
        draft.touch()
        fs.closeSync(draft.fd)
        expect(yield* Effect.flip(draft.settle)).toMatchObject({ operation: "close", code: "EBADF" })
        expect(draft.left(1n)).toBeDefined()
        expect(isOld(path)).toBe(true)
      }
    }))
})

describe("FileLock", () => {
  for (const locker of FileLock.lockers) {
    const test = isInstalled(locker.command) ? it.scopedLive : it.scopedLive.skip
    test(`by ${locker.command} is given to one, until it is closed`, () =>
      Effect.gen(function*() {
        const path = yield* destination
        fs.writeFileSync(path, "")
        const [one, other] = [fs.openSync(path, "r+"), fs.openSync(path, "r+")]
        expect(yield* FileLock.take(one, [locker])).toBe("Locked")
        expect(yield* FileLock.take(other, [locker])).toBe("Held")
        fs.closeSync(one)
        expect(yield* FileLock.take(other, [locker])).toBe("Locked")
        fs.closeSync(other)
      }))
  }

  it.scopedLive("is unknown without a program, or with a broken one", () =>
    Effect.gen(function*() {
      const path = yield* destination
      const fd = fs.openSync(path, "w")
      const [, perl] = FileLock.lockers
      expect(yield* FileLock.take(fd, [{ command: "/no/such/program", args: [], held: 1 }])).toBe("Unknown")
      expect(yield* FileLock.take(fd, [{ command: "false", args: [], held: perl?.held ?? 0 }])).toBe("Unknown")
      fs.closeSync(fd)
    }))
})

/** Where files have holes, as Perl or Python tell it. */
import type { Extent } from "@effect-nbd/block/Extent"
import * as FileCalls from "@effect-nbd/node/file/FileCalls"
import * as FileHoles from "@effect-nbd/node/file/FileHoles"
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { dirname, join } from "node:path"
import { folder } from "./Peers.ts"
import { has } from "./RealServers.ts"

interface Sparse {
  readonly path: string
  readonly fd: number
  readonly content: Buffer
}

/** A file of `size` bytes with a few bytes of data at each of these offsets, and holes between them. */
const sparse = (size: number, ...offsets: ReadonlyArray<number>): Effect.Effect<Sparse, never, Scope.Scope> =>
  Effect.flatMap(folder, (directory) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const path = join(directory, "sparse")
        const fd = openSync(path, "w+")
        const content = Buffer.alloc(size)
        ftruncateSync(fd, size)
        for (const at of offsets) {
          content.write("data", at)
          writeSync(fd, "data", at)
        }
        return { path, fd, content }
      }),
      ({ fd }) => Effect.sync(() => closeSync(fd))
    ))

const mebibyte = 1_048_576

const found = (fd: number, size: number, ...walkers: ReadonlyArray<FileHoles.Walker>) =>
  foundIn(fd, 0, size, ...walkers)

const foundIn = (fd: number, offset: number, length: number, ...walkers: ReadonlyArray<FileHoles.Walker>) =>
  Effect.map(Stream.runCollect(looked(fd, BigInt(offset), BigInt(length), walkers)), Chunk.toReadonlyArray)

const looked = (fd: number, offset: bigint, length: bigint, walkers?: ReadonlyArray<FileHoles.Walker>) =>
  Stream.unwrapScoped(FileHoles.look(fd, { offset, length }, walkers))

/** Bytes that are known to be zeroes. The extents begin at 0, and have no gaps. */
const zeroesIn = (extents: ReadonlyArray<Extent>, content: Buffer): number => {
  let [at, zeroes] = [0n, 0n]
  for (const { length, offset, zero } of extents) {
    expect([offset, length > 0n]).toStrictEqual([at, true])
    at += length
    if (!zero) continue
    zeroes += length
    expect(content.subarray(Number(offset), Number(at)).every((byte) => byte === 0)).toBe(true)
  }
  expect(at).toBe(BigInt(content.byteLength))
  return Number(zeroes)
}

/** A program that says this, and no more. */
const saying = (text: string, more = ""): FileHoles.Walker => ({
  command: "/bin/sh",
  args: ["-c", `printf '${text}'; ${more}`]
})

describe("the holes of a file", () => {
  for (const walker of FileHoles.walkers) {
    it.scopedLive.skipIf(!has(walker.command))(
      `are what ${walker.command} finds, wherever the data is`,
      () =>
        Effect.gen(function*() {
          const size = 8 * mebibyte + 1
          const odd = yield* sparse(size, 0, 2 * mebibyte - 2, 5_000_001, size - 4)
          const extents = yield* found(odd.fd, size, walker)
          expect(zeroesIn(extents, odd.content)).toBeGreaterThan(7 * mebibyte)
          expect(extents.at(-1)?.zero).toBe(false)
          const open = yield* sparse(size, 100_000)
          const [first, , last] = yield* found(open.fd, size, walker)
          expect([first?.zero, last?.zero]).toStrictEqual([true, true])
          const [hole, data, after] = yield* foundIn(open.fd, 50_000, mebibyte, walker)
          expect(hole).toMatchObject({ offset: 50_000n, zero: true })
          expect(data).toMatchObject({ zero: false })
          expect(after).toMatchObject({ zero: true })
          expect(after === undefined ? 0n : after.offset + after.length).toBe(50_000n + BigInt(mebibyte))
          const empty = yield* sparse(size)
          // A file that has become shorter has no hole where its end was.
          expect((yield* found(odd.fd, size * 2, walker)).every(({ length, offset }) => offset + length <= size)).toBe(
            true
          )
          expect(yield* found(empty.fd, size, walker)).toStrictEqual([
            { offset: 0n, length: BigInt(size), allocated: false, zero: true }
          ])
        })
    )
  }

  it.scopedLive("are asked of the first program that is there", () =>
    Effect.gen(function*() {
      const { fd } = yield* sparse(8192)
      const absent: FileHoles.Walker = { command: "/no/such/program", args: [] }
      expect(yield* found(fd, 8192, absent, saying("end\\n"))).toHaveLength(1)
      expect(yield* found(fd, 8192, absent, absent)).toStrictEqual([])
    }))

  it.scopedLive("are known as far as what is said of them makes sense", () =>
    Effect.gen(function*() {
      const { fd } = yield* sparse(8192)
      const data = { offset: 0n, length: 512n, allocated: true, zero: false }
      const says = (text: string) => found(fd, 8192, saying(text))
      expect(yield* says("0 512\\n1024 8192\\nend\\n")).toHaveLength(3)
      for (
        const nonsense of [
          "",
          "512 512\\nend\\n",
          "256 1024\\nend\\n",
          "1024 8193\\nend\\n",
          "-1 1024\\nend\\n",
          "1024 2e3\\nend\\n",
          "1024\\nend\\n",
          "1024 2048",
          "ende\\n",
          "\\nend\\n",
          "9".repeat(100)
        ]
      ) expect(yield* says(`0 512\\n${nonsense}`)).toStrictEqual([data])
    }))

  it.scopedLive("are no longer looked for by a program whose output is not read", () =>
    Effect.gen(function*() {
      const { fd, path } = yield* sparse(8192)
      const pidFile = `${path}.pid`
      const busy = saying("0 512\\n", `echo $$ > ${pidFile}; echo 512 1024; exec sleep 1000`)
      // A line that is too long ends it as well.
      for (const walker of [busy, saying("9".repeat(100), `echo $$ > ${pidFile}; exec sleep 1000`)]) {
        writeFileSync(pidFile, "")
        yield* Stream.runDrain(Stream.take(looked(fd, 0n, 8192n, [walker]), 2))
        expect(isGone(pidFile)).toBe(true)
      }
    }))
})

const isGone = (pidFile: string): boolean => {
  const pid = readFileSync(pidFile, "utf8").trim()
  if (pid === "") return true
  try {
    process.kill(Number(pid), 0)
    return false
  } catch {
    return true
  }
}

const itInMemory = existsSync("/dev/shm") ? it.scopedLive : it.scopedLive.skip

itInMemory("the last page of the longest file that there can be is not taken for a hole", () =>
  Effect.gen(function*() {
    const path = yield* Effect.acquireRelease(
      Effect.sync(() => join(mkdtempSync("/dev/shm/effect-nbd-"), "file")),
      (path) => Effect.sync(() => rmSync(dirname(path), { recursive: true }))
    )
    writeFileSync(path, "")
    const fd = openSync(path, "r+")
    const size = (1n << 63n) - 1n
    yield* FileCalls.truncating(fd, path)(size)
    yield* FileCalls.writing(fd, path)(size - 100_000n, new Uint8Array(90_000).fill(1))
    const extents = yield* Stream.runCollect(looked(fd, 0n, size))
    closeSync(fd)
    for (const { length, offset, zero } of extents) if (zero) expect(offset + length < size - 100_000n).toBe(true)
  }))

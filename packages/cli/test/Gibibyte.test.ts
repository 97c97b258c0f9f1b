/** 1 GiB of random bytes from an export to a file and back, in a process whose memory stays small. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { createCipheriv, createHash, randomBytes } from "node:crypto"
import { createReadStream, readFileSync } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import type { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { itWith, printed, startCli } from "./support/programs.ts"
import { folder, nbdkit } from "./support/servers.ts"

const gibibyte = 1024 ** 3

/** The digest of what a stream carries. */
const sha256 = (stream: Readable) =>
  Effect.promise(async () => {
    const hash = createHash("sha256")
    await pipeline(stream, hash)
    return hash.digest("hex")
  })

/** Fills a new file with what looks random, which a cipher makes faster than the system does; tells its digest. */
const fill = (file: string) =>
  Effect.promise(async () => {
    const zeroes = Buffer.alloc(1_048_576)
    const cipher = createCipheriv("aes-128-ctr", randomBytes(16), randomBytes(16))
    const hash = createHash("sha256")
    const handle = await open(file, "w")
    for (let written = 0; written < gibibyte; written += zeroes.byteLength) {
      const bytes = cipher.update(zeroes)
      hash.update(bytes)
      await handle.write(bytes)
    }
    await handle.close()
    return hash.digest("hex")
  })

/** The most memory it has had resident, in MiB; what it was before, once it is gone. */
const peakOf = (pid: number, before: number): number => {
  try {
    const kibibytes = /VmHWM:\s*(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
    return kibibytes === undefined ? before : Number(kibibytes) / 1024
  } catch {
    return before
  }
}

/** Copies, and tells the peak of its resident memory in MiB. */
const copying = (...args: ReadonlyArray<string>) =>
  Effect.scoped(Effect.gen(function*() {
    const copy = yield* startCli("copy", ...args)
    let peak = 0
    const watching = yield* Effect.fork(Effect.forever(Effect.delay(
      Effect.sync(() => {
        peak = peakOf(copy.pid, peak)
      }),
      "20 millis"
    )))
    const { code, stderr } = yield* copy.ended
    yield* Fiber.interrupt(watching)
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    return peak
  }))

itWith("nbdkit", "nbdcopy")("1 GiB there and back is the same, in less than 150 MiB", () =>
  Effect.gen(function*() {
    const directory = yield* folder
    const [original, copy] = [join(directory, "original"), join(directory, "copy")]
    const expected = yield* fill(original)
    const from = yield* nbdkit("file", original)
    const to = yield* nbdkit("memory", "1G")

    const there = yield* copying(from, copy)
    expect(yield* sha256(createReadStream(copy, { highWaterMark: 1_048_576 }))).toBe(expected)
    const back = yield* copying(copy, to)
    expect(yield* sha256(yield* printed("nbdcopy", to, "-"))).toBe(expected)

    expect(there).toBeGreaterThan(0)
    expect(Math.max(there, back)).toBeLessThan(150)
  }), 120_000)

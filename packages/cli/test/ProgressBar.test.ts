import { barOf, type Canvas, summaryOf, withBar } from "#cli/ProgressBar"
import * as ProgressLines from "#cli/ProgressLines"
import { describe, effect, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { closeSync, openSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { folder } from "./support/servers.ts"

const canvas = (columns: number): Canvas & { readonly drawn: Array<string> } => {
  const drawn: Array<string> = []
  return { drawn, write: (text) => void drawn.push(text), columns: () => columns }
}

describe("withBar", () => {
  effect("draws ten times a second at most, and a line at the end", () =>
    Effect.gen(function*() {
      const paper = canvas(60)
      const copying = yield* Effect.fork(
        withBar(paper, 1000n, (advance) =>
          Effect.repeatN(
            Effect.zipRight(Effect.sync(() => advance(10)), Effect.sleep("10 millis")),
            99
          ))
      )
      for (let step = 0; step < 100; step++) yield* TestClock.adjust("10 millis")
      yield* Fiber.join(copying)
      const bars = paper.drawn.filter((text) => text.startsWith("\r") && text.includes("["))
      expect(bars.length).toBeGreaterThanOrEqual(9)
      expect(bars.length).toBeLessThanOrEqual(11)
      expect(paper.drawn.slice(-2)).toEqual(["\r\u001b[K", "copied 1000 bytes in 1.00 s, 1000 bytes/s\n"])
    }))

  effect("leaves the line empty after a failure and an interruption", () =>
    Effect.gen(function*() {
      const failed = canvas(60)
      yield* Effect.flip(withBar(failed, 1n, () => Effect.fail("broken")))
      expect(failed.drawn.at(-1)).toBe("\r\u001b[K")
      const interrupted = canvas(60)
      const copying = yield* Effect.fork(withBar(interrupted, 1n, () => Effect.never))
      yield* TestClock.adjust("1 seconds")
      yield* Fiber.interrupt(copying)
      expect(interrupted.drawn.length).toBeGreaterThan(2)
      expect(interrupted.drawn.at(-1)).toBe("\r\u001b[K")
    }))
})

describe("barOf", () => {
  effect("fills the line but for its last column", () =>
    Effect.sync(() => {
      const half = { done: 524_288n, total: 1_048_576n, millis: 500 }
      expect(barOf(half, 60)).toBe(" 50 % [############-------------] 512 KiB of 1 MiB, 1 MiB/s")
      for (const columns of [1, 2, 10, 40, 80, 200]) expect(barOf(half, columns)).toHaveLength(columns - 1)
    }))

  effect("copes with nothing, and with more than a double can count", () =>
    Effect.sync(() => {
      expect(barOf({ done: 0n, total: 0n, millis: 0 }, 40)).toMatch(/^100 % \[#+\] 0 bytes of 0 bytes *$/)
      const huge = { done: (1n << 64n) - 2n, total: (1n << 64n) - 1n, millis: 1 }
      expect(barOf(huge, 80)).toMatch(/^ 99 % /)
    }))
})

effect("barOf has no bar where the total is not known", () =>
  Effect.sync(() => {
    expect(barOf({ done: 524_288n, total: undefined, millis: 500 }, 30)).toBe("512 KiB, 1 MiB/s             ")
  }))

describe("lines for programs", () => {
  const linesOf = (total: bigint | undefined, ...steps: ReadonlyArray<number>) =>
    Effect.gen(function*() {
      const path = join(yield* folder, "lines")
      const fd = openSync(path, "w")
      yield* ProgressLines.to(fd, total, (advance) => Effect.sync(() => steps.forEach((bytes) => advance(bytes))))
      closeSync(fd)
      return readFileSync(path, "utf8")
    })

  it.scopedLive("come once for each hundredth, and the last at the end", () =>
    Effect.gen(function*() {
      expect(yield* linesOf(1000n, 5, 5, 5, 500, 485)).toBe("0/100\n1/100\n51/100\n99/100\n100/100\n")
      expect(yield* linesOf(0n)).toBe("0/100\n100/100\n")
      expect(yield* linesOf(undefined, 10, 20)).toBe("100/100\n")
    }))
})

effect("summaryOf has size, time and rate", () =>
  Effect.sync(() => {
    expect(summaryOf({ done: 1_073_741_824n, total: 1_073_741_824n, millis: 1250 })).toBe(
      "copied 1 GiB in 1.25 s, 819 MiB/s"
    )
    expect(summaryOf({ done: 1n, total: 1n, millis: 0 })).toBe("copied 1 byte in 0.00 s")
  }))

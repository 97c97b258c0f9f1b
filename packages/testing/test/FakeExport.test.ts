import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { FakeExport } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { filled, pattern } from "./fixtures/RawClient.ts"

const { pageSize } = FakeExport

describe("against a plain array", () => {
  const size = 4 * pageSize + 1000
  const range = FastCheck.tuple(FastCheck.nat({ max: size - 1 }), FastCheck.nat({ max: 2 * pageSize + 10 })).map(
    ([offset, length]) => ({ offset, length: Math.min(length, size - offset) })
  )
  const pages = FastCheck.tuple(FastCheck.nat({ max: 4 }), FastCheck.integer({ min: 1, max: 5 })).map(
    ([page, count]) => ({ offset: page * pageSize, length: Math.min(count * pageSize, size - page * pageSize) })
  )
  const step = FastCheck.record({
    kind: FastCheck.constantFrom("write", "zero", "allocate", "trim"),
    at: FastCheck.oneof(range, pages),
    value: FastCheck.integer({ min: 1, max: 255 })
  })
  const generated = pattern(size, 5)
  const contents: ReadonlyArray<readonly [string, FakeExport.Content | undefined]> = [
    ["nothing", undefined],
    ["bytes", pattern(pageSize + 500, 3)],
    ["a function", (offset, length) => generated.slice(Number(offset), Number(offset) + length)]
  ]
  it.each(contents)("over %s, any program of writes, zeroes and trims reads back", (_name, content) => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(step, { maxLength: 12 }), (steps) => {
        const disk = FakeExport.make({ name: "disk", size, ...(content === undefined ? {} : { content }) })
        const model = disk.read(0n, size)
        for (const { at: { length, offset }, kind, value } of steps) {
          if (kind === "write") disk.write(BigInt(offset), filled(length, value))
          else if (kind === "trim") disk.trim(BigInt(offset), length)
          else disk.zero(BigInt(offset), length, kind === "allocate")
          model.fill(kind === "write" ? value : 0, offset, offset + length)
        }
        expect(Buffer.compare(disk.read(0n, size), model)).toBe(0)
        let at = 0n
        for (const extent of disk.extents(0n, size)) {
          expect(extent.offset).toBe(at)
          at += BigInt(extent.length)
          if (extent.zero) expect(disk.read(extent.offset, extent.length).every((byte) => byte === 0)).toBe(true)
          else expect(extent.allocated).toBe(true)
        }
        expect(at).toBe(BigInt(size))
      }),
      { numRuns: 60 }
    )
  })
})

it("content is read through, also at offsets that no number can hold", () => {
  const offset = 2n ** 63n - 12_345n
  const disk = FakeExport.make({
    name: "disk",
    size: 2n ** 63n,
    content: (at, length) => Uint8Array.from({ length }, (_, index) => Number((at + BigInt(index)) % 251n))
  })
  expect([...disk.read(offset, 3)]).toEqual([0n, 1n, 2n].map((index) => Number((offset + index) % 251n)))
  disk.write(offset + 1n, Uint8Array.of(255))
  expect([...disk.read(offset, 3)]).toEqual([Number(offset % 251n), 255, Number((offset + 2n) % 251n)])
})

it("the last bytes of the largest export there can be are written and read", () => {
  const disk = FakeExport.make({ name: "disk", size: 2n ** 64n - 1n })
  disk.write(2n ** 64n - 4n, Uint8Array.of(1, 2, 3))
  expect([...disk.read(2n ** 64n - 5n, 4)]).toEqual([0, 1, 2, 3])
})

it("extents tell data, dropped pages and pages kept for later apart", () => {
  const disk = FakeExport.make({ name: "disk", size: 5 * pageSize })
  disk.write(0n, filled(3 * pageSize, 1))
  disk.trim(BigInt(pageSize), pageSize)
  disk.zero(BigInt(2 * pageSize), pageSize, true)
  expect(disk.extents(10n, 4 * pageSize)).toEqual([
    { offset: 10n, length: pageSize - 10, allocated: true, zero: false },
    { offset: BigInt(pageSize), length: pageSize, allocated: false, zero: true },
    { offset: BigInt(2 * pageSize), length: pageSize, allocated: true, zero: true },
    { offset: BigInt(3 * pageSize), length: pageSize + 10, allocated: false, zero: true }
  ])
})

it("writes beyond the capacity do nothing; dropping pages gives room again", () => {
  const disk = FakeExport.make({ name: "disk", size: 10 * pageSize, capacity: 2 * pageSize })
  expect(disk.write(0n, filled(2 * pageSize, 1))).toBeUndefined()
  expect(disk.write(BigInt(2 * pageSize), Uint8Array.of(1))).toBe("ENOSPC")
  expect(disk.zero(BigInt(2 * pageSize), pageSize, true)).toBe("ENOSPC")
  expect(disk.write(5n, Uint8Array.of(2))).toBeUndefined()
  disk.trim(0n, pageSize)
  expect(disk.write(BigInt(2 * pageSize), Uint8Array.of(1))).toBeUndefined()
  expect([...disk.read(BigInt(2 * pageSize), 2)]).toEqual([1, 0])
})

describe("transmission flags", () => {
  const flags = (config: Partial<FakeExport.FakeExportConfig>, structured = true): number =>
    FakeExport.make({ name: "disk", size: 1, ...config }).flags(structured)

  it("S-009 S-010: everything by default, HAS_FLAGS always", () => {
    expect(flags({})).toBe(0x0ded)
    const none = {
      flush: false,
      fua: false,
      trim: false,
      writeZeroes: false,
      cache: false,
      df: false,
      multiConn: false
    }
    expect(flags({ can: none })).toBe(TransmissionFlags.HAS_FLAGS)
  })
  it("S-011: SEND_DF only with structured replies", () => {
    expect(flags({}, false)).toBe(0x0d6d)
  })
  it("S-012: SEND_FAST_ZERO only with SEND_WRITE_ZEROES", () => {
    expect(flags({ can: { writeZeroes: false } }) & TransmissionFlags.SEND_FAST_ZERO).toBe(0)
  })
  it("a read-only export offers nothing that writes", () => {
    expect(flags({ readOnly: true })).toBe(0x0587)
  })
  it("a rotational export says so", () => {
    expect(flags({ rotational: true }) & TransmissionFlags.ROTATIONAL).toBe(TransmissionFlags.ROTATIONAL)
  })
})

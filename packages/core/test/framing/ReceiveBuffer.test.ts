import { ReceiveBuffer } from "@effect-nbd/core/framing/ReceiveBuffer"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { areSame, concat, u8, zeros } from "../fixtures/HandWritten.ts"

const counted = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, index) => index % 251)

describe("a receive buffer", () => {
  it("gives back what it was given, in order", () => {
    const buffer = new ReceiveBuffer()
    buffer.push(u8(1, 2, 3))
    buffer.push(zeros(0))
    buffer.push(u8(4, 5))
    expect(buffer.length).toBe(5)
    expect(buffer.take(2)).toStrictEqual(u8(1, 2))
    expect(buffer.take(0)).toStrictEqual(zeros(0))
    expect(buffer.take(3)).toStrictEqual(u8(3, 4, 5))
    expect(buffer.length).toBe(0)
  })

  it("copies what it is given, since those bytes are borrowed", () => {
    const buffer = new ReceiveBuffer()
    const lent = u8(1, 2, 3)
    buffer.push(lent)
    lent.fill(0xdb)
    expect(buffer.take(3)).toStrictEqual(u8(1, 2, 3))
  })

  it("gives copies away, which stay as they are when more comes", () => {
    const buffer = new ReceiveBuffer()
    buffer.push(u8(1, 2, 3))
    const [peeked, taken] = [buffer.peek(3), buffer.take(3)]
    buffer.push(u8(7, 8, 9))
    expect([peeked, taken]).toStrictEqual([u8(1, 2, 3), u8(1, 2, 3)])
    taken.fill(0)
    expect(buffer.take(3)).toStrictEqual(u8(7, 8, 9))
  })

  it("leaves in place what is only looked at, and shows no more than there is", () => {
    const buffer = new ReceiveBuffer()
    expect(buffer.peek(10)).toStrictEqual(zeros(0))
    buffer.push(u8(1, 2, 3))
    expect(buffer.peek(2)).toStrictEqual(u8(1, 2))
    expect(buffer.peek(10)).toStrictEqual(u8(1, 2, 3))
    expect(buffer.length).toBe(3)
  })

  it.each([4095, 4096, 4097, 8192, 8193, 100_000])(
    "holds %i bytes, whether they come at once or in two halves",
    (count) => {
      for (const first of [0, 1, 2048, count - 1]) {
        const buffer = new ReceiveBuffer()
        buffer.push(counted(count).subarray(0, first))
        buffer.push(counted(count).subarray(first))
        expect(areSame(buffer.take(count), counted(count))).toBe(true)
      }
    }
  )

  it("moves the rest to the front, overlapping itself, when it runs out of room behind it", () => {
    const buffer = new ReceiveBuffer()
    buffer.push(counted(4096))
    buffer.take(100)
    buffer.push(u8(250, 251))
    expect(areSame(buffer.take(3998), concat(counted(4096).subarray(100), u8(250, 251)))).toBe(true)
  })

  it("gives any bytes back however they are pushed and taken", () => {
    const steps = FastCheck.array(FastCheck.tuple(FastCheck.nat({ max: 3000 }), FastCheck.nat({ max: 4000 })), {
      maxLength: 20
    })
    FastCheck.assert(FastCheck.property(steps, (counts) => {
      const buffer = new ReceiveBuffer()
      let given = 0
      let taken = 0
      for (const [pushes, takes] of counts) {
        buffer.push(Uint8Array.from({ length: pushes }, (_, index) => (given + index) % 251))
        given += pushes
        const bytes = buffer.take(Math.min(takes, buffer.length))
        for (const [index, byte] of bytes.entries()) if (byte !== (taken + index) % 251) return false
        taken += bytes.byteLength
        if (buffer.length !== given - taken) return false
      }
      return true
    }))
  })
})

/**
 * The model for the laws of devices: random actions on a window of a device, and the bytes that should be there after
 * them.
 *
 * @since 0.1.0
 */
import type { BlockDevice } from "@effect-nbd/block/BlockDevice"
import * as Effect from "effect/Effect"

/**
 * The part of a device that is used, aligned to its blocks.
 *
 * @since 0.1.0
 * @category models
 */
export interface Window {
  readonly offset: bigint
  readonly length: number
}

/** The largest number of bytes that are used, if four blocks are not more: two pages of a sparse device in memory. */
const windowLength = 131_072

/**
 * The first or last whole blocks of a device.
 *
 * @since 0.1.0
 * @category constructors
 */
export const window = <E>({ geometry, size }: BlockDevice<E>, atEnd: boolean): Window => {
  const block = BigInt(geometry.minimum)
  const whole = size - size % block
  const wanted = BigInt(Math.max(windowLength, geometry.minimum * 4))
  const length = wanted < whole ? wanted : whole
  return { offset: atEnd ? whole - length : 0n, length: Number(length) }
}

/**
 * A change of a range inside the window.
 *
 * @since 0.1.0
 * @category models
 */
export interface Action {
  readonly what: "write" | "writeZeroes" | "allocateZeroes" | "trim" | "flush"
  readonly offset: bigint
  readonly length: number
  /** The byte that is written everywhere in the range. */
  readonly byte: number
  readonly fua: boolean
}

/** Numbers that look random, the same for the same seed. */
const numbers = (seed: number) => {
  let state = (seed ^ 0x9e3779b9) >>> 0
  /** From 0 up to, but not including, `below`. */
  return (below: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/**
 * Up to 24 changes that the device offers, all inside the window.
 *
 * @since 0.1.0
 * @category constructors
 */
export const program = <E>(device: BlockDevice<E>, area: Window, seed: number): ReadonlyArray<Action> => {
  const { canFlush, canFua, canTrim, canZero, maximum, minimum, readOnly } = device.geometry
  const blocks = area.length / minimum
  if (readOnly || blocks < 1) return []
  const next = numbers(seed)
  const kinds: ReadonlyArray<Action["what"]> = [
    "write",
    "write",
    ...canZero ? ["writeZeroes", "allocateZeroes"] as const : [],
    ...canTrim ? ["trim"] as const : [],
    ...canFlush ? ["flush"] as const : []
  ]
  return Array.from({ length: 1 + next(24) }, () => {
    const what = kinds[next(kinds.length)] ?? "write"
    const start = next(blocks)
    const most = what === "write" ? Math.min(blocks - start, Math.floor(maximum / minimum)) : blocks - start
    // Short ranges are as frequent as long ones.
    const count = 1 + next(next(2) === 0 ? Math.min(most, 3) : most)
    const range = { offset: area.offset + BigInt(start * minimum), length: count * minimum }
    return {
      what,
      ...what === "flush" ? { offset: 0n, length: 0 } : range,
      byte: next(256),
      fua: canFua && next(4) === 0
    }
  })
}

/**
 * @since 0.1.0
 * @category encoding
 */
export const show = ({ byte, fua, length, offset, what }: Action): string =>
  what === "flush" ? "flush" : `${what} ${offset}+${length}${what === "write" ? ` of ${byte}` : ""}${fua ? " fua" : ""}`

/**
 * Carries out an action on the device.
 *
 * @since 0.1.0
 * @category combinators
 */
export const apply = <E>(device: BlockDevice<E>, action: Action): Effect.Effect<void, E> => {
  const { byte, fua, length, offset } = action
  switch (action.what) {
    case "write":
      return Effect.suspend(() => device.write(offset, new Uint8Array(length).fill(byte), { fua }))
    case "writeZeroes":
      return device.writeZeroes(offset, BigInt(length), { fua })
    case "allocateZeroes":
      return device.writeZeroes(offset, BigInt(length), { fua, allocate: true })
    case "trim":
      return device.trim(offset, BigInt(length), { fua })
    case "flush":
      return device.flush
  }
}

/** The byte that is there after an action; `undefined` if it may be any byte. */
const left = ({ byte, what }: Action): number | undefined => what === "write" ? byte : what === "trim" ? undefined : 0

/**
 * The bytes that a window should have.
 *
 * @since 0.1.0
 * @category models
 */
export class Model {
  private readonly area: Window
  private readonly bytes: Uint8Array
  /** 1 where the byte may be any, since the range was trimmed. */
  private readonly unknown: Uint8Array

  constructor(area: Window, content: Uint8Array) {
    this.area = area
    this.bytes = content.slice()
    this.unknown = new Uint8Array(content.byteLength)
  }

  apply(action: Action): void {
    const start = Number(action.offset - this.area.offset)
    if (action.length === 0) return
    const byte = left(action)
    this.bytes.fill(byte ?? 0, start, start + action.length)
    this.unknown.fill(byte === undefined ? 1 : 0, start, start + action.length)
  }

  /** A text about the first byte that differs. */
  differenceTo(content: Uint8Array): string | undefined {
    for (let at = 0; at < content.byteLength; at++) {
      if (content[at] === this.bytes[at] || this.unknown[at] === 1) continue
      return this.wrong(at, content[at], `${this.bytes[at]}`)
    }
    return undefined
  }

  /** The first byte that was not there before, and that none of the actions writes there. */
  impossibleIn(content: Uint8Array, actions: ReadonlyArray<Action>): string | undefined {
    const changes = actions.filter(({ length }) => length > 0).map((action) => {
      const start = Number(action.offset - this.area.offset)
      return { start, end: start + action.length, byte: left(action) }
    })
    // Between two of these places the same actions touch every byte.
    const cuts = new Set([0, content.byteLength, ...changes.flatMap(({ end, start }) => [start, end])])
    const places = [...cuts].toSorted((a, b) => a - b)
    for (const [index, from] of places.entries()) {
      const touching = changes.filter(({ end, start }) => start <= from && from < end)
      const possible = touching.map(({ byte }) => byte)
      if (possible.includes(undefined)) continue
      for (let at = from; at < (places[index + 1] ?? from); at++) {
        const found = content[at]
        if (touching.length === 0 ? found === this.bytes[at] : possible.includes(found)) continue
        return this.wrong(at, found, touching.length === 0 ? `${this.bytes[at]}` : `one of ${possible.join(", ")}`)
      }
    }
    return undefined
  }

  private wrong(at: number, found: number | undefined, expected: string): string {
    return `at ${this.area.offset + BigInt(at)} stands ${found}, expected ${expected}`
  }
}

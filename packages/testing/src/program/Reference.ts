/**
 * The reference disk: what every block may hold, while operations overlap and some have an unknown outcome.
 *
 * A block has the contents that an order of the operations allows: what was there, what is being written, and, once a
 * write was answered, only that and what overlapped it in time. Nothing is claimed beyond that.
 *
 * @since 0.1.0
 */
import type { Request } from "../arbitraries/Requests.ts"

/** What the disk held at first, zeroes, anything; every other number is the operation that wrote. */
const initially = 0
const zeroes = -1
const anything = -2

type Version = number

interface Change {
  readonly version: Version
  readonly range: Range
  /** Changes that were under way together with this one. */
  readonly together: Set<Change>
}

interface Range {
  readonly first: number
  /** Exclusive. */
  readonly end: number
}

interface Look {
  readonly range: Range
  readonly may: Array<ReadonlySet<Version>>
}

/**
 * @since 0.1.0
 * @category models
 */
export class Reference {
  private readonly block: number
  private readonly initial: Uint8Array
  private readonly may: Array<ReadonlySet<Version>>
  private readonly written = new Map<Version, { readonly offset: number; readonly bytes: Uint8Array }>()
  /** By version, which is one change's alone but for zeroes and trims. */
  private readonly changes = new Map<Version, Set<Change>>()
  /** Changes without an answer: those that lost their caller stay here. */
  private readonly open = new Map<number, Change>()
  private readonly looks = new Map<number, Look>()

  /** `initial` are the first bytes of the export, the only ones that are known of. */
  constructor(block: number, initial: Uint8Array) {
    this.block = block
    this.initial = initial
    const untouched: ReadonlySet<Version> = new Set([initially])
    this.may = Array.from({ length: initial.byteLength / block }, () => untouched)
  }

  /** What operation `number` writes. */
  payload(number: number, { length, offset }: Request): Uint8Array {
    const bytes = contentOf(offset, length, number)
    this.written.set(number, { offset: Number(offset), bytes })
    return bytes
  }

  /** The operation may take effect from here on. */
  begin(number: number, { command, length, offset }: Request): void {
    const range = this.rangeOf(offset, length)
    if (command === "write") this.change(number, number, range)
    else if (command === "writeZeroes") this.change(number, zeroes, range)
    else if (command === "trim") this.change(number, anything, range)
    else this.looks.set(number, { range, may: this.may.slice(range.first, range.end) })
  }

  /** It has taken effect: nothing that was answered before it began is left. */
  succeed(number: number): void {
    const done = this.open.get(number)
    if (done === undefined) return
    this.open.delete(number)
    for (let at = done.range.first; at < done.range.end; at++) {
      const left = new Set([done.version])
      for (const version of this.may[at] ?? []) {
        if (this.overlapped(done, version, at)) left.add(version)
      }
      this.may[at] = left
    }
  }

  /** It is over, and nobody knows what it did. */
  fail(number: number): void {
    this.open.delete(number)
  }

  /** It was not carried out, nor will be. */
  forget(number: number): void {
    this.fail(number)
    this.looks.delete(number)
  }

  /**
   * What is wrong with the bytes that operation `number` read, or was told of, as far as it was; `undefined` if nothing
   * is.
   */
  judge(number: number, offset: number, read: ArrayLike<number | undefined>): string | undefined {
    const look = this.looks.get(number)
    this.looks.delete(number)
    if (look === undefined) return undefined
    for (let index = 0; index < read.length; index++) {
      const at = offset + index
      const byte = read[index]
      const may = look.may[Math.floor(at / this.block) - look.range.first]
      if (byte === undefined || may === undefined) continue
      if ([...may].some((version) => version === anything || this.byteOf(version, at) === byte)) continue
      return `byte ${at} is ${byte}, and can only be ${this.inWords(may, at)}`
    }
    return undefined
  }

  private inWords(may: ReadonlySet<Version>, at: number): string {
    return [...may].map((version) => {
      if (version === initially) return `${this.initial[at]} from the start`
      if (version === anything) return "anything"
      return version === zeroes ? "0" : `${this.byteOf(version, at)} of #${version}`
    }).join(" or ")
  }

  private change(number: number, version: Version, range: Range): void {
    const together = new Set(this.open.values())
    const change: Change = { version, range, together }
    for (const other of together) other.together.add(change)
    this.open.set(number, change)
    const same = this.changes.get(version) ?? new Set()
    this.changes.set(version, same.add(change))
    for (let at = range.first; at < range.end; at++) this.may[at] = withVersion(this.may[at], version)
    for (const look of this.looks.values()) {
      const from = Math.max(range.first, look.range.first)
      for (let at = from; at < Math.min(range.end, look.range.end); at++) {
        look.may[at - look.range.first] = withVersion(look.may[at - look.range.first], version)
      }
    }
  }

  /** A change of that version to that block was under way together with this one. */
  private overlapped({ together }: Change, version: Version, at: number): boolean {
    for (const change of this.changes.get(version) ?? []) {
      if (together.has(change) && change.range.first <= at && at < change.range.end) return true
    }
    return false
  }

  private byteOf(version: Version, at: number): number | undefined {
    if (version === zeroes) return 0
    if (version === initially) return this.initial[at]
    const written = this.written.get(version)
    return written?.bytes[at - written.offset]
  }

  /** The part of a range that is known of, in blocks. */
  private rangeOf(offset: bigint, length: number): Range {
    const first = Number(offset) / this.block
    const count = this.may.length
    return { first: Math.min(first, count), end: Math.min(first + length / this.block, count) }
  }
}

const withVersion = (may: ReadonlySet<Version> | undefined, version: Version): ReadonlySet<Version> =>
  new Set([...may ?? [], version])

/** Bytes that differ from operation to operation, and from place to place. */
const contentOf = (offset: bigint, length: number, seed: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  const start = Number(offset % 0x1_0000_0000n)
  for (let index = 0; index < length; index++) {
    const mixed = Math.imul(start + index + 1, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca6b)
    bytes[index] = mixed >>> 24
  }
  return bytes
}

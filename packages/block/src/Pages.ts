/**
 * Sparse storage: pages that are taken when they are written, over content that was there before.
 *
 * @since 0.1.0
 */
import { type Run, Runs } from "./Runs.ts"

/**
 * What a disk holds before anything is written: bytes from its start, or a function of offset and length.
 *
 * @since 0.1.0
 * @category models
 */
export type Content = Uint8Array | ((offset: bigint, length: number) => Uint8Array)

/**
 * Bytes per page: the grain in which memory is taken and holes are known.
 *
 * @since 0.1.0
 * @category models
 */
export const pageSize = 65_536

/**
 * Most runs of pages that are kept apart. Only holes in content can be so many; beyond it trimming does nothing and
 * zeroing fails with ENOSPC.
 *
 * @since 0.1.0
 * @category models
 */
export const maxRuns = 1_048_576

/**
 * What a stretch of the disk is.
 *
 * - `Absent`: never touched, and nothing was there before.
 * - `Content`: never touched, with what was there before.
 * - `Hole`: dropped.
 * - `Zero`: kept, without bytes.
 * - `Data`: written.
 *
 * @since 0.1.0
 * @category models
 */
export type PageState = "Absent" | "Content" | "Hole" | "Zero" | "Data"

/**
 * @since 0.1.0
 * @category models
 */
export interface Stretch {
  readonly offset: bigint
  /** Bytes, at least 1. */
  readonly length: bigint
  readonly state: PageState
}

/** Content is no state of its own here: it lies under what is untouched. */
type Kept = "Untouched" | "Hole" | "Zero" | "Data"

/** Why something could not be kept. */
type Shortage = "ENOSPC" | "ENOMEM"

interface Piece {
  readonly page: number
  /** Where in the page the piece begins. */
  readonly within: number
  readonly count: number
  /** Where in the request the piece begins. */
  readonly at: number
}

const grain = BigInt(pageSize)

/**
 * The bytes of one disk. Offsets and lengths are taken to be inside it.
 *
 * @since 0.1.0
 * @category models
 */
export class Pages {
  private readonly size: bigint
  private readonly content: Content | undefined
  /** Pages from 0 that have content. */
  private readonly contentPages: number
  /** Pages from 0 that count as allocated from the start, and so not towards the capacity: those of given bytes. */
  private readonly freePages: number
  private readonly capacity: number
  private readonly states = new Runs<Kept>("Untouched")
  /** The bytes of the pages whose state is `Data`. */
  private readonly bytes = new Map<number, Uint8Array>()
  /** Those that count towards the capacity. */
  private allocatedPages = 0

  /** `size` and `capacity`, the most that may be allocated by writing, are in bytes. */
  constructor(size: bigint, content: Content | undefined, capacity: number) {
    this.size = size
    this.content = content
    this.contentPages = content === undefined
      ? 0
      : typeof content === "function"
      ? Infinity
      : Math.ceil(content.byteLength / pageSize)
    this.freePages = content instanceof Uint8Array ? this.contentPages : 0
    this.capacity = capacity
  }

  /** A copy of the bytes. */
  read(offset: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (const piece of pieces(offset, length)) {
      const state = this.states.at(piece.page)
      const target = bytes.subarray(piece.at, piece.at + piece.count)
      if (state === "Untouched") this.copyContent(offset + BigInt(piece.at), target)
      else if (state === "Data") target.set(this.dataOf(piece.page).subarray(piece.within, piece.within + piece.count))
    }
    return bytes
  }

  /**
   * Copies the bytes in, or does nothing where they would exceed the capacity. Then it says `ENOSPC`, or `ENOMEM` where
   * all of it lies over the content of a function, which counts as allocated already (S-091).
   */
  write(offset: bigint, bytes: Uint8Array): Shortage | undefined {
    const end = offset + BigInt(bytes.byteLength)
    const shortage = this.shortage(pageOf(offset), pageAfter(end))
    if (shortage !== undefined) return shortage
    for (const piece of pieces(offset, bytes.byteLength)) {
      const part = bytes.subarray(piece.at, piece.at + piece.count)
      if (piece.count === pageSize) this.setData(piece.page, part.slice())
      else this.materialised(piece.page).set(part, piece.within)
    }
    return undefined
  }

  /**
   * Makes the bytes read as zero. Whole pages are dropped, or with `allocate` (NO_HOLE) kept as allocated. It does
   * nothing where that would exceed the capacity, as `write`, or `maxRuns`.
   */
  zero(offset: bigint, length: bigint, allocate: boolean): Shortage | undefined {
    if (length === 0n) return undefined
    const end = offset + length
    const shortage = allocate
      ? this.shortage(pageOf(offset), pageAfter(end))
      : this.partShortage(offset) ?? this.partShortage(end)
    if (shortage !== undefined) return shortage
    if (this.states.count > maxRuns - 4) return "ENOSPC"
    // Pages that lie in the range as a whole. The last page of the disk may be short.
    const first = pageAfter(offset)
    const last = end === this.size ? pageAfter(end) : pageOf(end)
    if (first >= last) {
      // No whole page is in it, so that it is shorter than two.
      this.zeroPart(offset, Number(length), allocate)
      return undefined
    }
    const head = BigInt(first) * grain - offset
    const tail = end - BigInt(last) * grain
    if (head > 0n) this.zeroPart(offset, Number(head), allocate)
    this.setEmpty(first, last, allocate)
    if (tail > 0n) this.zeroPart(end - tail, Number(tail), allocate)
    return undefined
  }

  /** What the range is made of, in order. Changes must wait until it is done. */
  *stretches(offset: bigint, length: bigint): Generator<Stretch> {
    const end = offset + length
    for (const { from, state, to } of this.runs(pageOf(offset), pageAfter(end))) {
      const start = max(offset, BigInt(from) * grain)
      yield { offset: start, length: min(end, BigInt(to) * grain) - start, state }
    }
  }

  private *runs(from: number, to: number): Generator<Omit<Run<never>, "value"> & { readonly state: PageState }> {
    for (const run of this.states.between(from, to)) {
      if (run.value !== "Untouched") {
        yield { from: run.from, to: run.to, state: run.value }
        continue
      }
      const edge = Math.min(Math.max(run.from, this.contentPages), run.to)
      if (run.from < edge) yield { from: run.from, to: edge, state: "Content" }
      if (edge < run.to) yield { from: edge, to: run.to, state: "Absent" }
    }
  }

  /** What is wrong with keeping all of these pages, if the capacity does not allow it. */
  private shortage(from: number, to: number): Shortage | undefined {
    const needed = this.charged(from, to) - this.allocatedBetween(from, to)
    if ((this.allocatedPages + needed) * pageSize <= this.capacity) return undefined
    for (const { state } of this.runs(from, to)) {
      if (state === "Absent" || state === "Hole") return "ENOSPC"
    }
    return "ENOMEM"
  }

  /** The same for the page in whose middle a range begins or ends: it is kept, unless it reads as zero anyway. */
  private partShortage(at: bigint): Shortage | undefined {
    const page = pageOf(at)
    return at % grain === 0n || at === this.size || this.readsZero(page) ? undefined : this.shortage(page, page + 1)
  }

  private allocatedBetween(from: number, to: number): number {
    let allocated = 0
    for (const run of this.states.between(from, to)) {
      if (isAllocated(run.value)) allocated += this.charged(run.from, run.to)
    }
    return allocated
  }

  /** How many of the pages count towards the capacity when they are allocated. */
  private charged(from: number, to: number): number {
    return Math.max(0, to - Math.max(from, this.freePages))
  }

  /** A part of one page. */
  private zeroPart(offset: bigint, length: number, allocate: boolean): void {
    for (const { count, page, within } of pieces(offset, length)) {
      if (this.readsZero(page)) {
        if (allocate) this.setEmpty(page, page + 1, true)
      } else this.materialised(page).fill(0, within, within + count)
    }
  }

  private readsZero(page: number): boolean {
    const state = this.states.at(page)
    return state === "Untouched" ? page >= this.contentPages : state !== "Data"
  }

  private copyContent(offset: bigint, target: Uint8Array): void {
    if (this.content === undefined) return
    const bytes = typeof this.content === "function"
      ? this.content(offset, target.byteLength)
      : offset < this.content.byteLength
      ? this.content.subarray(Number(offset), Number(offset) + target.byteLength)
      : new Uint8Array(0)
    target.set(bytes.subarray(0, target.byteLength))
  }

  private dataOf(page: number): Uint8Array {
    return this.bytes.get(page) ?? new Uint8Array(pageSize)
  }

  /** The page as bytes that can be written. */
  private materialised(index: number): Uint8Array {
    const state = this.states.at(index)
    if (state === "Data") return this.dataOf(index)
    const page = new Uint8Array(pageSize)
    if (state === "Untouched" && index < this.contentPages) {
      const start = BigInt(index) * grain
      const inside = this.size - start < grain ? Number(this.size - start) : pageSize
      this.copyContent(start, page.subarray(0, inside))
    }
    this.setData(index, page)
    return page
  }

  private setData(index: number, page: Uint8Array): void {
    if (!isAllocated(this.states.at(index))) this.allocatedPages += this.charged(index, index + 1)
    this.states.set(index, index + 1, "Data")
    this.bytes.set(index, page)
  }

  /** Pages without bytes: `Zero` with `allocate`, otherwise dropped. */
  private setEmpty(from: number, to: number, allocate: boolean): void {
    this.allocatedPages += (allocate ? this.charged(from, to) : 0) - this.allocatedBetween(from, to)
    for (const run of this.states.between(from, to)) {
      if (run.value !== "Data") continue
      for (let page = run.from; page < run.to; page++) this.bytes.delete(page)
    }
    if (allocate) return this.states.set(from, to, "Zero")
    // A hole has to be remembered only where it hides content.
    const edge = Math.min(Math.max(from, this.contentPages), to)
    this.states.set(from, edge, "Hole")
    this.states.set(edge, to, "Untouched")
  }
}

const isAllocated = (state: Kept): boolean => state === "Data" || state === "Zero"

// Offsets are below 2^64, so the numbers of pages are below 2^48 + 1 and exact.
const pageOf = (offset: bigint): number => Number(offset / grain)
const pageAfter = (offset: bigint): number => Number((offset + grain - 1n) / grain)

const min = (a: bigint, b: bigint): bigint => a < b ? a : b
const max = (a: bigint, b: bigint): bigint => a > b ? a : b

function* pieces(offset: bigint, length: number): Generator<Piece> {
  let page = pageOf(offset)
  let within = Number(offset % grain)
  for (let at = 0; at < length;) {
    const count = Math.min(length - at, pageSize - within)
    yield { page, within, count, at }
    at += count
    page++
    within = 0
  }
}

/**
 * Cuts a source into the pieces that are copied one by one.
 *
 * What is known to be zeroes becomes long pieces that need no reading, everything else pieces of a request each, cut at
 * multiples of the request size. A run of zeroes that is shorter than `worthwhile` is read along with its neighbours: a
 * source of extents of 4 KiB costs as many requests as one without any.
 *
 * @since 0.1.0
 */
import type { Extent } from "@effect-nbd/block/Extent"

/**
 * @since 0.1.0
 * @category models
 */
export interface Piece {
  readonly offset: bigint
  readonly length: number
  readonly zero: boolean
}

/**
 * All in bytes, and multiples of `grain`, which is a power of two.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cuts {
  /** Where everything begins and ends, but for the end of the source. */
  readonly grain: number
  readonly requestSize: number
  /** Longest piece of zeroes. */
  readonly zeroSize: number
  /** Shortest run of zeroes that is not read. */
  readonly worthwhile: number
}

/**
 * Extents go in, pieces come out, both in order. It knows the bytes from `at` on: up to `dataEnd` they are to be read, and
 * from there up to `zeroEnd` they are zeroes.
 *
 * @since 0.1.0
 * @category models
 */
export class Pieces {
  private readonly size: bigint | undefined
  private readonly grain: bigint
  private readonly requestSize: bigint
  private readonly zeroSize: bigint
  private readonly worthwhile: bigint
  private at = 0n
  private dataEnd = 0n
  private zeroEnd = 0n
  private ahead: ReadonlyArray<Extent> = []
  private index = 0
  private state: "Open" | "Starved" | "Closed" | "Stopped" = "Open"

  /** A source of unknown size has no end until `stop`. */
  constructor(size: bigint | undefined, cuts: Cuts) {
    this.size = size
    this.grain = BigInt(cuts.grain)
    this.requestSize = BigInt(cuts.requestSize)
    this.zeroSize = BigInt(cuts.zeroSize)
    this.worthwhile = BigInt(cuts.worthwhile)
  }

  /** Up to where pieces were taken. */
  get taken(): bigint {
    return this.at
  }

  /** Without more extents there is no next piece. */
  get isStarved(): boolean {
    return this.state === "Starved"
  }

  /** There is no next piece. */
  get isOver(): boolean {
    return this.state === "Stopped" || (this.state === "Closed" && this.at === this.size)
  }

  /** Extents that follow those before; only when it is starved. */
  add(extents: ReadonlyArray<Extent>): void {
    this.ahead = extents
    this.index = 0
    this.state = "Open"
  }

  /** There are no more extents. What they have not reached is to be read. */
  close(): void {
    this.state = "Closed"
  }

  /** There is no next piece, whatever the size: the source has ended. */
  stop(): void {
    this.state = "Stopped"
  }

  /** The next piece; `undefined` when it is starved, and when it is over. */
  next(): Piece | undefined {
    while (!this.isOver) {
      const cut = this.at - this.at % this.requestSize + this.requestSize
      if (cut <= this.dataEnd) return this.take(cut, false)
      const zeroes = this.zeroes
      if (zeroes !== undefined && zeroes.from > this.at) return this.take(zeroes.from, false)
      if (zeroes !== undefined) return this.take(least(zeroes.to, this.at + this.zeroSize), true)
      if (!this.learn()) return this.rest(cut)
    }
    return undefined
  }

  /** The run of zeroes behind the data, as far as it is known, if it is worth its own piece. */
  private get zeroes(): { readonly from: bigint; readonly to: bigint } | undefined {
    const from = roundedDown(this.dataEnd + this.grain - 1n, this.grain)
    const to = this.zeroEnd === this.size ? this.zeroEnd : roundedDown(this.zeroEnd, this.grain)
    return to > from && to - from >= this.worthwhile ? { from, to } : undefined
  }

  private take(end: bigint, zero: boolean): Piece {
    const piece = { offset: this.at, length: Number(end - this.at), zero }
    this.at = end
    if (this.dataEnd < end) this.dataEnd = end
    if (this.zeroEnd < end) this.zeroEnd = end
    return piece
  }

  /** Takes the next extent in. */
  private learn(): boolean {
    const extent = this.ahead[this.index]
    if (extent === undefined) return false
    this.index++
    this.zeroEnd = extent.offset + extent.length
    if (!extent.zero) this.dataEnd = this.zeroEnd
    return true
  }

  private rest(cut: bigint): Piece | undefined {
    if (this.state !== "Closed") {
      this.state = "Starved"
      return undefined
    }
    return this.take(this.size === undefined ? cut : least(cut, this.size), false)
  }
}

const least = (a: bigint, b: bigint): bigint => a < b ? a : b

const roundedDown = (value: bigint, grain: bigint): bigint => value - value % grain

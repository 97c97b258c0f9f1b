/**
 * Sparse storage: pages that are taken when they are written, over content that was there before.
 *
 * @since 0.1.0
 */
import type { ErrnoName } from "@effect-nbd/core/wire/Errno"

/**
 * What a disk holds before anything is written: bytes from its start, or a function of offset and length.
 *
 * @since 0.1.0
 * @category models
 */
export type Content = Uint8Array | ((offset: bigint, length: number) => Uint8Array)

/**
 * A run of bytes that are alike.
 *
 * @since 0.1.0
 * @category models
 */
export interface ExportExtent {
  readonly offset: bigint
  /** Bytes, at least 1. */
  readonly length: number
  readonly allocated: boolean
  /** The bytes are known to read as zero. */
  readonly zero: boolean
}

/**
 * Bytes per page: the grain in which memory is taken and holes are known.
 *
 * @since 0.1.0
 * @category models
 */
export const pageSize = 65_536

/** `Zero` is allocated and reads as zero, `Hole` was dropped; a page not in the map was never touched. */
type Page = Uint8Array | "Zero" | "Hole"

interface Piece {
  readonly page: number
  /** Where in the page the piece begins. */
  readonly within: number
  readonly count: number
  /** Where in the request the piece begins. */
  readonly at: number
}

/**
 * The bytes of one disk. Offsets and lengths are taken to be inside it.
 *
 * @since 0.1.0
 * @category models
 */
export class Pages {
  private readonly size: bigint
  private readonly content: Content | undefined
  private readonly capacity: number
  private readonly pages = new Map<number, Page>()
  private allocatedPages = 0

  /** `size` and `capacity`, the most that may be allocated by writing, are in bytes. */
  constructor(size: bigint, content: Content | undefined, capacity: number) {
    this.size = size
    this.content = content
    this.capacity = capacity
  }

  /** A copy of the bytes. */
  read(offset: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (const piece of pieces(offset, length)) {
      const page = this.pages.get(piece.page)
      if (page === undefined) {
        this.copyContent(offset + BigInt(piece.at), bytes.subarray(piece.at, piece.at + piece.count))
      } else if (typeof page !== "string") bytes.set(page.subarray(piece.within, piece.within + piece.count), piece.at)
    }
    return bytes
  }

  /** Copies the bytes in, or does nothing and says `ENOSPC` where they would exceed the capacity. */
  write(offset: bigint, bytes: Uint8Array): ErrnoName | undefined {
    if (!this.hasRoom(offset, bytes.byteLength)) return "ENOSPC"
    for (const piece of pieces(offset, bytes.byteLength)) {
      const part = bytes.subarray(piece.at, piece.at + piece.count)
      if (piece.count === pageSize) this.setPage(piece.page, part.slice())
      else this.materialised(piece.page).set(part, piece.within)
    }
    return undefined
  }

  /** Makes the bytes read as zero. Whole pages are dropped, or with `allocate` (NO_HOLE) kept as allocated. */
  zero(offset: bigint, length: number, allocate: boolean): ErrnoName | undefined {
    if (allocate && !this.hasRoom(offset, length)) return "ENOSPC"
    for (const piece of pieces(offset, length)) {
      const reachesEnd = offset + BigInt(piece.at + piece.count) === this.size
      if (piece.within === 0 && (piece.count === pageSize || reachesEnd)) {
        this.setPage(piece.page, allocate ? "Zero" : "Hole")
      } else if (!this.readsZero(piece.page)) {
        this.materialised(piece.page).fill(0, piece.within, piece.within + piece.count)
      } else if (allocate && this.pages.get(piece.page) !== "Zero") {
        this.setPage(piece.page, "Zero")
      }
    }
    return undefined
  }

  /** Which parts are allocated and which read as zero, in order, neighbours that are alike joined. */
  extents(offset: bigint, length: number): ReadonlyArray<ExportExtent> {
    const found: Array<ExportExtent> = []
    for (const piece of pieces(offset, length)) {
      const zero = this.readsZero(piece.page)
      const allocated = !zero || this.pages.get(piece.page) === "Zero"
      const last = found.at(-1)
      if (last !== undefined && last.zero === zero && last.allocated === allocated) {
        found[found.length - 1] = { ...last, length: last.length + piece.count }
      } else {
        found.push({ offset: offset + BigInt(piece.at), length: piece.count, allocated, zero })
      }
    }
    return found
  }

  private hasRoom(offset: bigint, length: number): boolean {
    let needed = 0
    for (const piece of pieces(offset, length)) {
      if (!isAllocated(this.pages.get(piece.page))) needed++
    }
    return (this.allocatedPages + needed) * pageSize <= this.capacity
  }

  private hasContent(page: number): boolean {
    if (this.content === undefined) return false
    return typeof this.content === "function" || page * pageSize < this.content.byteLength
  }

  private readsZero(page: number): boolean {
    const held = this.pages.get(page)
    return held === undefined ? !this.hasContent(page) : typeof held === "string"
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

  /** The page as bytes that can be written. */
  private materialised(index: number): Uint8Array {
    const held = this.pages.get(index)
    if (held instanceof Uint8Array) return held
    const page = new Uint8Array(pageSize)
    if (held === undefined && this.hasContent(index)) {
      const start = BigInt(index) * BigInt(pageSize)
      const inside = this.size - start < BigInt(pageSize) ? Number(this.size - start) : pageSize
      this.copyContent(start, page.subarray(0, inside))
    }
    this.setPage(index, page)
    return page
  }

  private setPage(index: number, page: Page): void {
    if (isAllocated(this.pages.get(index))) this.allocatedPages--
    if (isAllocated(page)) this.allocatedPages++
    // A hole has to be remembered only where it hides content.
    if (page === "Hole" && !this.hasContent(index)) this.pages.delete(index)
    else this.pages.set(index, page)
  }
}

const isAllocated = (page: Page | undefined): boolean => page !== undefined && page !== "Hole"

function* pieces(offset: bigint, length: number): Generator<Piece> {
  let page = Number(offset / BigInt(pageSize))
  let within = Number(offset % BigInt(pageSize))
  for (let at = 0; at < length;) {
    const count = Math.min(length - at, pageSize - within)
    yield { page, within, count, at }
    at += count
    page++
    within = 0
  }
}

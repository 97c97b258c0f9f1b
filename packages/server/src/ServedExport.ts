/**
 * What the fake server exports: a disk in memory, or one of functions, and what is said of it.
 *
 * In memory, pages of 64 KiB are taken for what was written only, so an export may be as large as the protocol can say
 * (2^64 - 1 bytes). It knows what is allocated, what reads as zero, and what has changed. It knows nothing of sessions
 * or requests: bounds, alignment and permissions are checked where requests are read.
 *
 * @since 0.1.0
 */
import { type Content, Pages } from "@effect-nbd/block/Pages"
import type { ReplyStyle } from "@effect-nbd/core/Export"
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import * as Effect from "effect/Effect"
import { type Disk, DiskError, type Extent, ofPages, type ZeroOptions } from "./Disk.ts"
import { allocation, allocationDepth } from "./disk/Allocation.ts"
import { DirtyBitmap, type DirtyBitmapConfig } from "./disk/DirtyBitmap.ts"
import type { ServedContext } from "./ServedContext.ts"

export {
  /**
   * @since 0.1.0
   * @category models
   */
  type DirtyBitmapConfig
} from "./disk/DirtyBitmap.ts"

export {
  /**
   * @since 0.1.0
   * @category models
   */
  type Content,
  /**
   * @since 0.1.0
   * @category models
   */
  pageSize
} from "@effect-nbd/block/Pages"

/**
 * Block size constraints in bytes. They are sent as they are given, so that a test may advertise senseless ones.
 *
 * @since 0.1.0
 * @category models
 */
export interface BlockSize {
  readonly minimum: number
  readonly preferred: number
  /** Largest payload; `0xffffffff` means that there is no fixed limit. */
  readonly maximum: number
}

/**
 * What holds for an export without constraints of its own (S-053): 1, 4096 and 32 MiB.
 *
 * @since 0.1.0
 * @category models
 */
export const defaultBlockSize: BlockSize = { minimum: 1, preferred: 4096, maximum: 33_554_432 }

/**
 * What the export says it can do; each is `true` by default where its disk has the function for it. On a read-only
 * export `fua`, `trim`, `writeZeroes` and `fastZero` are never offered, and `fastZero` never without `writeZeroes`
 * (S-012).
 *
 * @since 0.1.0
 * @category models
 */
export interface Capabilities {
  readonly flush: boolean
  readonly fua: boolean
  readonly trim: boolean
  readonly writeZeroes: boolean
  readonly fastZero: boolean
  readonly cache: boolean
  /** Offered only where structured replies or extended headers were negotiated (S-011). */
  readonly df: boolean
  /** Offered only under extended headers, to a client that has selected meta contexts (S-099). */
  readonly blockStatusPayload: boolean
  /** A write is visible on every connection as soon as it is answered: by default said of a disk in memory only. */
  readonly multiConn: boolean
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ExportConfig {
  readonly name: string
  /** Bytes, up to 2^64 - 1. */
  readonly size: bigint | number
  /**
   * What the disk holds before anything is written: bytes from its start, or a function of offset and length. Zeroes
   * by default. Areas with content count as allocated.
   */
  readonly content?: Content
  /**
   * Most bytes that may be allocated by writing, beside those that `content` gives; beyond it writes fail with ENOSPC,
   * and those over the content of a function with ENOMEM. 4 GiB by default.
   */
  readonly capacity?: number
  /** Functions in place of a disk in memory, whose `content` and `capacity` it does not have. */
  readonly disk?: Disk
  /** `false` by default; `true` for a disk that has no `write`. */
  readonly readOnly?: boolean
  /** For NBD_INFO_DESCRIPTION and NBD_OPT_LIST; none by default. */
  readonly description?: string
  /** For NBD_INFO_NAME; `name` by default. */
  readonly canonicalName?: string
  /** Constraints that are advertised and enforced; `defaultBlockSize` by default. */
  readonly blockSize?: BlockSize
  readonly can?: Partial<Capabilities>
  /** `false` by default. */
  readonly rotational?: boolean
  /** Only clients that have begun TLS may enter it, or know of it (S-046); `false` by default. */
  readonly tlsOnly?: boolean
  /** Offer the meta context `base:allocation`; `true` by default. */
  readonly allocation?: boolean
  /**
   * Offer `qemu:allocation-depth`, of a disk in memory: 1 for what was changed, 2 for content that was not, and 0 for
   * what is neither. `false` by default.
   */
  readonly allocationDepth?: boolean
  /** Offer a context `qemu:dirty-bitmap:NAME` for each; none by default. */
  readonly dirtyBitmaps?: ReadonlyArray<DirtyBitmapConfig>
  /** Further meta contexts; none by default. */
  readonly contexts?: ReadonlyArray<ServedContext>
}

/**
 * An export. Offsets and lengths are taken to be inside it.
 *
 * @since 0.1.0
 * @category models
 */
export class ServedExport {
  readonly name: string
  readonly size: bigint
  readonly readOnly: boolean
  readonly description: string
  readonly canonicalName: string
  /** `undefined` where the defaults hold. */
  readonly blockSize: BlockSize | undefined
  readonly tlsOnly: boolean
  /** What it can tell of its blocks, in the order of listing. */
  readonly contexts: ReadonlyArray<ServedContext>
  /** Its disk is in memory, where everything is done at once. */
  readonly isImmediate: boolean
  /** Some of its contexts are functions of others. */
  readonly hasOwnContexts: boolean
  private readonly can: Capabilities
  private readonly rotational: boolean
  private readonly disk: Disk
  private readonly bitmaps: ReadonlyArray<DirtyBitmap>

  constructor(config: ExportConfig) {
    this.name = config.name
    this.size = BigInt(config.size)
    this.description = config.description ?? ""
    this.canonicalName = config.canonicalName ?? config.name
    this.blockSize = config.blockSize
    this.tlsOnly = config.tlsOnly ?? false
    this.rotational = config.rotational ?? false
    const pages = new Pages(this.size, config.content, config.capacity ?? 4_294_967_296)
    this.isImmediate = config.disk === undefined
    this.disk = config.disk ?? ofPages(pages)
    this.readOnly = config.readOnly === true || this.disk.write === undefined
    this.can = capabilitiesOf(this.disk, { ...everything, multiConn: this.isImmediate, ...config.can })
    this.bitmaps = (config.dirtyBitmaps ?? []).map((bitmap) => new DirtyBitmap(bitmap, this.size, this.limits.minimum))
    this.hasOwnContexts = config.contexts !== undefined
    this.contexts = [
      ...config.allocation === false ? [] : [allocation((offset, length) => this.extents(offset, length))],
      ...config.allocationDepth === true && this.isImmediate ? [allocationDepth(pages)] : [],
      ...this.bitmaps,
      ...config.contexts ?? []
    ]
  }

  /** The constraints that requests are held to. */
  get limits(): BlockSize {
    return this.blockSize ?? defaultBlockSize
  }

  /**
   * The transmission flags, which depend on what was negotiated (S-009 to S-012, S-099). `hasContexts` says whether
   * meta contexts were selected.
   */
  flags(replyStyle: ReplyStyle, hasContexts = false): TransmissionFlags {
    const writable = !this.readOnly
    const bits: ReadonlyArray<readonly [boolean, number]> = [
      [this.readOnly, TransmissionFlags.READ_ONLY],
      [this.can.flush, TransmissionFlags.SEND_FLUSH],
      [this.can.fua && writable, TransmissionFlags.SEND_FUA],
      [this.rotational, TransmissionFlags.ROTATIONAL],
      [this.can.trim && writable, TransmissionFlags.SEND_TRIM],
      [this.can.writeZeroes && writable, TransmissionFlags.SEND_WRITE_ZEROES],
      [this.can.df && replyStyle !== "Simple", TransmissionFlags.SEND_DF],
      [this.can.multiConn, TransmissionFlags.CAN_MULTI_CONN],
      [this.can.cache, TransmissionFlags.SEND_CACHE],
      [this.can.fastZero && this.can.writeZeroes && writable, TransmissionFlags.SEND_FAST_ZERO],
      [
        this.can.blockStatusPayload && replyStyle === "Extended" && hasContexts,
        TransmissionFlags.BLOCK_STATUS_PAYLOAD
      ]
    ]
    return TransmissionFlags(bits.reduce((all, [set, bit]) => set ? all | bit : all, TransmissionFlags.HAS_FLAGS))
  }

  /** A copy of the bytes. */
  read(offset: bigint, length: number): Effect.Effect<Uint8Array, DiskError> {
    if (length === 0) return Effect.succeed(new Uint8Array(0))
    return Effect.filterOrElse(
      this.disk.read(offset, length),
      (bytes) => bytes.byteLength === length,
      (bytes) => new DiskError({ errno: "EIO", reason: `the disk gave ${bytes.byteLength} of ${length} bytes` })
    )
  }

  /** Copies the bytes in, or does nothing and fails where they would exceed the capacity. */
  write(offset: bigint, bytes: Uint8Array): Effect.Effect<void, DiskError> {
    return this.changing(offset, BigInt(bytes.byteLength), () => this.disk.write?.(offset, bytes))
  }

  /** Makes the bytes read as zero. Whole pages are dropped, or with `noHole` kept as allocated. */
  writeZeroes(offset: bigint, length: bigint, options: Partial<ZeroOptions> = {}): Effect.Effect<void, DiskError> {
    const { fastZero = false, noHole = false } = options
    return this.changing(offset, length, () => this.disk.writeZeroes?.(offset, length, { fastZero, noHole }))
  }

  /** Drops the bytes. In memory they read as zero afterwards, which the protocol does not promise. */
  trim(offset: bigint, length: bigint): Effect.Effect<void, DiskError> {
    return this.changing(offset, length, () => this.disk.trim?.(offset, length))
  }

  get flush(): Effect.Effect<void, DiskError> {
    return this.disk.flush ?? Effect.void
  }

  cache(offset: bigint, length: bigint): Effect.Effect<void, DiskError> {
    return length === 0n ? Effect.void : this.disk.cache?.(offset, length) ?? Effect.void
  }

  /** Which parts are allocated and which read as zero, in order; to be looked at before anything is changed. */
  extents(offset: bigint, length: bigint): Effect.Effect<Iterable<Extent>, DiskError> {
    if (length === 0n) return Effect.succeed([])
    return this.disk.extents?.(offset, length) ?? Effect.succeed([{ length, allocated: true, zero: false }])
  }

  /** Whether the change succeeds or not, the range counts as dirty from here on. */
  private changing(
    offset: bigint,
    length: bigint,
    change: () => Effect.Effect<void, DiskError> | undefined
  ): Effect.Effect<void, DiskError> {
    return Effect.suspend(() => {
      if (length === 0n) return Effect.void
      for (const bitmap of this.bitmaps) bitmap.mark(offset, length)
      return change() ?? unable
    })
  }
}

const unable = Effect.suspend(() => new DiskError({ errno: "EINVAL", reason: "the disk cannot do this" }))

const everything: Capabilities = {
  flush: true,
  fua: true,
  trim: true,
  writeZeroes: true,
  fastZero: true,
  cache: true,
  df: true,
  blockStatusPayload: true,
  multiConn: true
}

/** What is wanted of the capabilities, as far as the disk has the functions. */
const capabilitiesOf = (disk: Disk, wanted: Capabilities): Capabilities => ({
  ...wanted,
  flush: wanted.flush && disk.flush !== undefined,
  fua: wanted.fua && disk.flush !== undefined,
  trim: wanted.trim && disk.trim !== undefined,
  writeZeroes: wanted.writeZeroes && disk.writeZeroes !== undefined,
  cache: wanted.cache && disk.cache !== undefined
})

/**
 * An export from its description; one that exists already is passed on, so that a disk can be shared or kept.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (config: ExportConfig | ServedExport): ServedExport =>
  config instanceof ServedExport ? config : new ServedExport(config)

/**
 * What a server exports: a disk in memory, or any block device, and what is said of it.
 *
 * In memory, pages of 64 KiB are taken for what was written only, so an export may be as large as the protocol can say
 * (2^64 - 1 bytes). It knows what is allocated, what reads as zero, and what has changed. It knows nothing of sessions
 * or requests: bounds, alignment and permissions are checked where requests are read.
 *
 * @since 0.1.0
 */
import type { BlockDevice } from "@effect-nbd/block/BlockDevice"
import * as Geometry from "@effect-nbd/block/Geometry"
import { type Content, Pages } from "@effect-nbd/block/Pages"
import type { ReplyStyle } from "@effect-nbd/core/Export"
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import * as Effect from "effect/Effect"
import type { Failure } from "./Decider.ts"
import { allocation, allocationDepth } from "./disk/Allocation.ts"
import { failureOf, ofDevice } from "./disk/DeviceStorage.ts"
import { DirtyBitmap, type DirtyBitmapConfig } from "./disk/DirtyBitmap.ts"
import { ofPages, type Run, type Storage, type ZeroOptions } from "./disk/Storage.ts"
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
 * What is said of an export, wherever its bytes are.
 *
 * @since 0.1.0
 * @category models
 */
export interface ExportOptions {
  readonly name: string
  /** `false` by default; `true` for a device that is read-only. */
  readonly readOnly?: boolean
  /** For NBD_INFO_DESCRIPTION and NBD_OPT_LIST; none by default. */
  readonly description?: string
  /** For NBD_INFO_NAME; `name` by default. */
  readonly canonicalName?: string
  /** Constraints that are advertised and enforced; those of the device, or `defaultBlockSize`, by default. */
  readonly blockSize?: BlockSize
  readonly can?: Partial<Capabilities>
  /** What the device says by default, and `false` in memory. */
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
 * An export in memory.
 *
 * @since 0.1.0
 * @category models
 */
export interface MemoryExportConfig extends ExportOptions {
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
  readonly device?: undefined
}

/**
 * An export of a block device. Requests are carried out side by side.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeviceExportConfig extends ExportOptions {
  /** Its size is that of the export, and its geometry says what the export offers. */
  readonly device: BlockDevice<unknown>
  /** A hint that a range will be read soon; not offered by default. */
  readonly cache?: (offset: bigint, length: bigint) => Effect.Effect<void, unknown>
  /**
   * What a client is told of an error of the device. By default errno and reason of a `DeviceError`, and EIO for any error
   * that `@effect-nbd/block` does not know.
   */
  readonly failure?: (error: unknown) => Failure
}

/**
 * @since 0.1.0
 * @category models
 */
export type ExportConfig = MemoryExportConfig | DeviceExportConfig

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
  readonly contexts: ReadonlyArray<ServedContext<Failure>>
  /** Its disk is in memory, where everything is done at once. */
  readonly isImmediate: boolean
  /** Some of its contexts are functions of others. */
  readonly hasOwnContexts: boolean
  private readonly can: Capabilities
  private readonly rotational: boolean
  private readonly storage: Storage
  private readonly bitmaps: ReadonlyArray<DirtyBitmap>

  constructor(config: ExportConfig) {
    const { allocation: hasAllocation = true, allocationDepth: hasDepth = false, canonicalName = config.name } = config
    this.name = config.name
    this.description = config.description ?? ""
    this.canonicalName = canonicalName
    this.tlsOnly = config.tlsOnly ?? false
    this.hasOwnContexts = config.contexts !== undefined
    const depth: Array<ServedContext<Failure>> = []
    let told = failureOf
    if (config.device === undefined) {
      this.size = BigInt(config.size)
      const pages = new Pages(this.size, config.content, config.capacity ?? 4_294_967_296)
      if (hasDepth) depth.push(allocationDepth(pages))
      this.storage = ofPages(pages)
      this.isImmediate = true
      this.blockSize = config.blockSize
      this.rotational = config.rotational ?? false
      this.readOnly = config.readOnly === true
      this.can = { ...everything, ...config.can }
    } else {
      const { cache, device: { geometry, size }, device, failure } = config
      this.size = size
      this.storage = ofDevice(device, { cache, failure })
      this.isImmediate = false
      if (failure !== undefined) told = failure
      this.blockSize = config.blockSize ?? blockSizeOf(geometry)
      this.rotational = config.rotational ?? geometry.rotational
      this.readOnly = config.readOnly === true || geometry.readOnly
      this.can = capabilitiesOf(geometry, cache !== undefined, { ...everything, multiConn: false, ...config.can })
    }
    this.bitmaps = (config.dirtyBitmaps ?? []).map((bitmap) => new DirtyBitmap(bitmap, this.size, this.limits.minimum))
    this.contexts = [
      ...hasAllocation ? [allocation((offset, length) => this.extents(offset, length))] : [],
      ...depth,
      ...this.bitmaps,
      ...(config.contexts ?? []).map((context) => ({
        name: context.name,
        wide: context.wide === true,
        status: (offset: bigint, length: bigint) => Effect.mapError(context.status(offset, length), told)
      }))
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
  read(offset: bigint, length: number): Effect.Effect<Uint8Array, Failure> {
    return length === 0 ? Effect.succeed(new Uint8Array(0)) : this.storage.read(offset, length)
  }

  /** Copies the bytes in, or does nothing and fails where they would exceed the capacity. */
  write(offset: bigint, bytes: Uint8Array, fua = false): Effect.Effect<void, Failure> {
    return this.changing(offset, BigInt(bytes.byteLength), () => this.storage.write?.(offset, bytes, fua))
  }

  /** Makes the bytes read as zero. Whole pages are dropped, or with `noHole` kept as allocated. */
  writeZeroes(
    offset: bigint,
    length: bigint,
    options: Partial<ZeroOptions> = {},
    fua = false
  ): Effect.Effect<void, Failure> {
    const { fastZero = false, noHole = false } = options
    return this.changing(offset, length, () => this.storage.writeZeroes?.(offset, length, { fastZero, noHole }, fua))
  }

  /** Drops the bytes. In memory they read as zero afterwards, which the protocol does not promise. */
  trim(offset: bigint, length: bigint, fua = false): Effect.Effect<void, Failure> {
    return this.changing(offset, length, () => this.storage.trim?.(offset, length, fua))
  }

  get flush(): Effect.Effect<void, Failure> {
    return this.storage.flush ?? Effect.void
  }

  cache(offset: bigint, length: bigint): Effect.Effect<void, Failure> {
    return length === 0n ? Effect.void : this.storage.cache?.(offset, length) ?? Effect.void
  }

  /** Which parts are allocated and which read as zero, in order; to be looked at before anything is changed. */
  extents(offset: bigint, length: bigint): Effect.Effect<Iterable<Run>, Failure> {
    if (length === 0n) return Effect.succeed([])
    return this.storage.extents?.(offset, length) ?? Effect.succeed([{ length, allocated: true, zero: false }])
  }

  /** Whether the change succeeds or not, the range counts as dirty from here on. */
  private changing(
    offset: bigint,
    length: bigint,
    change: () => Effect.Effect<void, Failure> | undefined
  ): Effect.Effect<void, Failure> {
    return Effect.suspend(() => {
      if (length === 0n) return Effect.void
      for (const bitmap of this.bitmaps) bitmap.mark(offset, length)
      return change() ?? unable
    })
  }
}

const unable = Effect.fail<Failure>({ errno: "EINVAL", message: "the device cannot do this" })

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

/** What is wanted of the capabilities, as far as the device has them. */
const capabilitiesOf = (geometry: Geometry.Geometry, hasCache: boolean, wanted: Capabilities): Capabilities => ({
  ...wanted,
  flush: wanted.flush && geometry.canFlush,
  fua: wanted.fua && geometry.canFua,
  trim: wanted.trim && geometry.canTrim,
  writeZeroes: wanted.writeZeroes && geometry.canZero,
  fastZero: wanted.fastZero && geometry.canFastZero,
  cache: wanted.cache && hasCache
})

/** The longest payload that can be advertised: 32 bits, and all of them mean that there is no limit. */
const longest = 0xffff_fffe

/** A device without constraints of its own needs none in the export. */
const blockSizeOf = ({ maximum, minimum, preferred }: Geometry.Geometry): BlockSize | undefined =>
  maximum === Geometry.defaults.maximum && minimum === Geometry.defaults.minimum &&
    preferred === Geometry.defaults.preferred
    ? undefined
    : { minimum, preferred, maximum: Math.min(maximum, longest - longest % minimum) }

/**
 * An export from its description; one that exists already is passed on, so that a disk can be shared or kept.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (config: ExportConfig | ServedExport): ServedExport =>
  config instanceof ServedExport ? config : new ServedExport(config)

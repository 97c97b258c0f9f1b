/**
 * An in-memory disk for the fake server to export.
 *
 * Memory is taken in pages of 64 KiB, for what was written only, so an export may be as large as the protocol can say
 * (2^64 - 1 bytes). It knows what is allocated and what reads as zero. It knows nothing of sessions or requests: bounds,
 * alignment and permissions are checked where requests are read.
 *
 * @since 0.1.0
 */
import type { ErrnoName } from "@effect-nbd/core/wire/Errno"
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { type Content, type ExportExtent, Pages } from "./disk/Pages.ts"

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
  type ExportExtent,
  /**
   * @since 0.1.0
   * @category models
   */
  pageSize
} from "./disk/Pages.ts"

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
 * What the export says it can do; each is `true` by default. On a read-only export `fua`, `trim`, `writeZeroes` and
 * `fastZero` are never offered, and `fastZero` never without `writeZeroes` (S-012).
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
  /** Offered only where structured replies were negotiated (S-011). */
  readonly df: boolean
  /** True of this disk: a write is visible on every connection as soon as it is answered. */
  readonly multiConn: boolean
}

/**
 * @since 0.1.0
 * @category models
 */
export interface FakeExportConfig {
  readonly name: string
  /** Bytes, up to 2^64 - 1. */
  readonly size: bigint | number
  /**
   * What the disk holds before anything is written: bytes from its start, or a function of offset and length. Zeroes
   * by default. Areas with content count as allocated.
   */
  readonly content?: Content
  /** `false` by default. */
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
  /** Most bytes that may be allocated by writing; beyond it writes fail with ENOSPC. 4 GiB by default. */
  readonly capacity?: number
}

/**
 * An in-memory disk. Offsets and lengths are taken to be inside it.
 *
 * @since 0.1.0
 * @category models
 */
export class FakeExport {
  readonly name: string
  readonly size: bigint
  readonly readOnly: boolean
  readonly description: string
  readonly canonicalName: string
  /** `undefined` where the defaults hold. */
  readonly blockSize: BlockSize | undefined
  private readonly can: Capabilities
  private readonly rotational: boolean
  private readonly pages: Pages

  constructor(config: FakeExportConfig) {
    this.name = config.name
    this.size = BigInt(config.size)
    this.readOnly = config.readOnly ?? false
    this.description = config.description ?? ""
    this.canonicalName = config.canonicalName ?? config.name
    this.blockSize = config.blockSize
    this.can = { ...everything, ...config.can }
    this.rotational = config.rotational ?? false
    this.pages = new Pages(this.size, config.content, config.capacity ?? 4_294_967_296)
  }

  /** The constraints that requests are held to. */
  get limits(): BlockSize {
    return this.blockSize ?? defaultBlockSize
  }

  /** The transmission flags, which depend on whether structured replies were negotiated (S-009 to S-012). */
  flags(structured: boolean): TransmissionFlags {
    const writable = !this.readOnly
    const bits: ReadonlyArray<readonly [boolean, number]> = [
      [this.readOnly, TransmissionFlags.READ_ONLY],
      [this.can.flush, TransmissionFlags.SEND_FLUSH],
      [this.can.fua && writable, TransmissionFlags.SEND_FUA],
      [this.rotational, TransmissionFlags.ROTATIONAL],
      [this.can.trim && writable, TransmissionFlags.SEND_TRIM],
      [this.can.writeZeroes && writable, TransmissionFlags.SEND_WRITE_ZEROES],
      [this.can.df && structured, TransmissionFlags.SEND_DF],
      [this.can.multiConn, TransmissionFlags.CAN_MULTI_CONN],
      [this.can.cache, TransmissionFlags.SEND_CACHE],
      [this.can.fastZero && this.can.writeZeroes && writable, TransmissionFlags.SEND_FAST_ZERO]
    ]
    return TransmissionFlags(bits.reduce((all, [set, bit]) => set ? all | bit : all, TransmissionFlags.HAS_FLAGS))
  }

  /** A copy of the bytes. */
  read(offset: bigint, length: number): Uint8Array {
    return this.pages.read(offset, length)
  }

  /** Copies the bytes in, or does nothing and says `ENOSPC` where they would exceed the capacity. */
  write(offset: bigint, bytes: Uint8Array): ErrnoName | undefined {
    return this.pages.write(offset, bytes)
  }

  /** Makes the bytes read as zero. Whole pages are dropped, or with `allocate` (NO_HOLE) kept as allocated. */
  zero(offset: bigint, length: number, allocate: boolean): ErrnoName | undefined {
    return this.pages.zero(offset, length, allocate)
  }

  /** Drops the bytes: they read as zero afterwards, which the protocol does not promise. */
  trim(offset: bigint, length: number): void {
    this.pages.zero(offset, length, false)
  }

  /** Which parts are allocated and which read as zero, in order, neighbours that are alike joined. */
  extents(offset: bigint, length: number): ReadonlyArray<ExportExtent> {
    return this.pages.extents(offset, length)
  }
}

const everything: Capabilities = {
  flush: true,
  fua: true,
  trim: true,
  writeZeroes: true,
  fastZero: true,
  cache: true,
  df: true,
  multiConn: true
}

/**
 * An export from its description; one that exists already is passed on, so that a disk can be shared or kept.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (config: FakeExportConfig | FakeExport): FakeExport =>
  config instanceof FakeExport ? config : new FakeExport(config)

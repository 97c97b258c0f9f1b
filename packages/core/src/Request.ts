/**
 * Requests as values: what a handle can be asked to do with an export, and how.
 *
 * There is one kind of request for each method of `Commands` that sends a command, and each method makes its request and
 * hands it on. So a concern that is about all of them, such as tracing, is written once, over a request. An error of a
 * request that was sent has the request in it, as it was made: with it the request can be sent again.
 *
 * Requests are immutable, but do not copy the memory that they name. Printed, they have only its length.
 *
 * @since 0.1.0
 */
import { NodeInspectSymbol } from "effect/Inspectable"
import type {
  BlockStatusOptions,
  CommandOptions,
  RawCommand,
  StructuredReadOptions,
  WriteOptions,
  WriteZeroesOptions
} from "./transmission/CommandOptions.ts"

/**
 * A request in a form that JSON can have: offsets and lengths are decimal strings, and memory is its length alone.
 *
 * @since 0.1.0
 * @category models
 */
export interface Printed {
  readonly _tag: Request["_tag"]
  readonly [field: string]: unknown
}

abstract class Base {
  abstract readonly _tag: Request["_tag"]

  /** What it is printed as, by `JSON.stringify`, `util.inspect` and Effect's loggers: without the content of its memory. */
  abstract toJSON(): Printed

  toString(): string {
    return JSON.stringify(this.toJSON())
  }

  [NodeInspectSymbol](): Printed {
    return this.toJSON()
  }
}

/** A request about a range of bytes. */
abstract class Ranged extends Base {
  /** Where the range begins, in bytes from the start of the export. */
  abstract readonly offset: bigint
  /** Bytes of the range. */
  abstract readonly length: number | bigint

  toJSON(): Printed {
    return { _tag: this._tag, offset: String(this.offset), length: String(this.length) }
  }
}

/** The same, with options. */
abstract class Optional<Options extends CommandOptions> extends Ranged {
  abstract readonly options: Options | undefined

  override toJSON(): Printed {
    return { ...super.toJSON(), ...this.options }
  }
}

/**
 * Read into memory of the caller's own, which the handle allocates (NBD_CMD_READ).
 *
 * @since 0.1.0
 * @category models
 */
export class Read extends Ranged {
  readonly _tag = "Read"
  readonly offset: bigint
  readonly length: number

  constructor(offset: bigint, length: number) {
    super()
    this.offset = offset
    this.length = length
  }
}

/**
 * Read into memory that the caller has, as many bytes as it has (NBD_CMD_READ).
 *
 * @since 0.1.0
 * @category models
 */
export class ReadInto extends Ranged {
  readonly _tag = "ReadInto"
  readonly offset: bigint
  readonly destination: Uint8Array

  constructor(offset: bigint, destination: Uint8Array) {
    super()
    this.offset = offset
    this.destination = destination
  }

  get length(): number {
    return this.destination.byteLength
  }
}

/**
 * Read into memory that the connection lends (NBD_CMD_READ).
 *
 * @since 0.1.0
 * @category models
 */
export class ReadBorrowed extends Ranged {
  readonly _tag = "ReadBorrowed"
  readonly offset: bigint
  readonly length: number

  constructor(offset: bigint, length: number) {
    super()
    this.offset = offset
    this.length = length
  }
}

/**
 * Read, and tell data from holes (NBD_CMD_READ).
 *
 * @since 0.1.0
 * @category models
 */
export class ReadStructured extends Optional<StructuredReadOptions> {
  readonly _tag = "ReadStructured"
  readonly offset: bigint
  readonly length: number
  readonly options: StructuredReadOptions | undefined

  constructor(offset: bigint, length: number, options?: StructuredReadOptions) {
    super()
    this.offset = offset
    this.length = length
    this.options = options
  }
}

/**
 * Write all of `bytes`, which are not copied (NBD_CMD_WRITE).
 *
 * @since 0.1.0
 * @category models
 */
export class Write extends Optional<WriteOptions> {
  readonly _tag = "Write"
  readonly offset: bigint
  readonly bytes: Uint8Array
  readonly options: WriteOptions | undefined

  constructor(offset: bigint, bytes: Uint8Array, options?: WriteOptions) {
    super()
    this.offset = offset
    this.bytes = bytes
    this.options = options
  }

  get length(): number {
    return this.bytes.byteLength
  }
}

/**
 * Make writes durable (NBD_CMD_FLUSH).
 *
 * @since 0.1.0
 * @category models
 */
export class Flush extends Base {
  readonly _tag = "Flush"

  toJSON(): Printed {
    return { _tag: this._tag }
  }
}

/**
 * Say that the content is not needed any more (NBD_CMD_TRIM).
 *
 * @since 0.1.0
 * @category models
 */
export class Trim extends Optional<WriteOptions> {
  readonly _tag = "Trim"
  readonly offset: bigint
  readonly length: number | bigint
  readonly options: WriteOptions | undefined

  constructor(offset: bigint, length: number | bigint, options?: WriteOptions) {
    super()
    this.offset = offset
    this.length = length
    this.options = options
  }
}

/**
 * Fetch content for reads to come (NBD_CMD_CACHE).
 *
 * @since 0.1.0
 * @category models
 */
export class Cache extends Optional<CommandOptions> {
  readonly _tag = "Cache"
  readonly offset: bigint
  readonly length: number | bigint
  readonly options: CommandOptions | undefined

  constructor(offset: bigint, length: number | bigint, options?: CommandOptions) {
    super()
    this.offset = offset
    this.length = length
    this.options = options
  }
}

/**
 * Make the range read as zeroes (NBD_CMD_WRITE_ZEROES).
 *
 * @since 0.1.0
 * @category models
 */
export class WriteZeroes extends Optional<WriteZeroesOptions> {
  readonly _tag = "WriteZeroes"
  readonly offset: bigint
  readonly length: number | bigint
  readonly options: WriteZeroesOptions | undefined

  constructor(offset: bigint, length: number | bigint, options?: WriteZeroesOptions) {
    super()
    this.offset = offset
    this.length = length
    this.options = options
  }
}

/**
 * Ask what is known about the range, context by context (NBD_CMD_BLOCK_STATUS).
 *
 * @since 0.1.0
 * @category models
 */
export class BlockStatus extends Optional<BlockStatusOptions> {
  readonly _tag = "BlockStatus"
  readonly offset: bigint
  readonly length: number | bigint
  readonly options: BlockStatusOptions | undefined

  constructor(offset: bigint, length: number | bigint, options?: BlockStatusOptions) {
    super()
    this.offset = offset
    this.length = length
    this.options = options
  }
}

/**
 * Any command by its number, unchecked: for tests of servers.
 *
 * @since 0.1.0
 * @category models
 */
export class Command extends Ranged {
  readonly _tag = "Command"
  readonly raw: RawCommand

  constructor(raw: RawCommand) {
    super()
    this.raw = raw
  }

  get offset(): bigint {
    return this.raw.offset ?? 0n
  }

  get length(): number {
    return this.raw.length ?? this.raw.payload?.byteLength ?? 0
  }

  override toJSON(): Printed {
    const { code, flags = 0, payload } = this.raw
    const carried = payload === undefined ? {} : { payloadLength: String(payload.byteLength) }
    return { ...super.toJSON(), code, flags, ...carried }
  }
}

/**
 * What a handle can be asked to do with an export.
 *
 * @since 0.1.0
 * @category models
 */
export type Request =
  | Read
  | ReadInto
  | ReadBorrowed
  | ReadStructured
  | Write
  | Flush
  | Trim
  | Cache
  | WriteZeroes
  | BlockStatus
  | Command

/**
 * The commands of the transmission phase that have a reply. `command` is one that is known by its number alone.
 *
 * @since 0.1.0
 * @category models
 */
export type CommandName = "read" | "write" | "flush" | "trim" | "cache" | "writeZeroes" | "blockStatus" | "command"

/**
 * The methods that make a request, by the request's tag.
 *
 * @since 0.1.0
 * @category models
 */
export type RequestOperation = Uncapitalize<Request["_tag"]>

const operations: { readonly [Tag in Request["_tag"]]: Uncapitalize<Tag> } = {
  Read: "read",
  ReadInto: "readInto",
  ReadBorrowed: "readBorrowed",
  Write: "write",
  Flush: "flush",
  Trim: "trim",
  Cache: "cache",
  WriteZeroes: "writeZeroes",
  ReadStructured: "readStructured",
  BlockStatus: "blockStatus",
  Command: "command"
}

/**
 * Every method that makes a request.
 *
 * @since 0.1.0
 * @category constants
 */
export const requestOperations: ReadonlyArray<RequestOperation> = Object.values(operations)

/**
 * The method that makes requests like this one.
 *
 * @since 0.1.0
 * @category getters
 */
export const operationOf = ({ _tag }: Request): RequestOperation => operations[_tag]

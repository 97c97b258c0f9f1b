/**
 * The commands of the transmission phase as Effects.
 *
 * Each method makes a `Request`, and the handle carries it out. Interruption leaves the connection healthy: the reply is
 * drained when it comes.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type * as Extents from "./Extents.ts"
import type {
  CommandFailure,
  CommandFlagsError,
  NoMetaContextError,
  RangeRefusal,
  ReadOnlyError,
  UnsupportedError
} from "./transmission/CommandError.ts"
import type {
  BlockStatusOptions,
  CommandOptions,
  RawCommand,
  StructuredReadOptions,
  WriteOptions,
  WriteZeroesOptions
} from "./transmission/CommandOptions.ts"
import type { ContextStatus } from "./transmission/ContextStatus.ts"
import type { Piece } from "./transmission/Piece.ts"

/**
 * @since 0.1.0
 * @category errors
 */
export type ReadError = RangeRefusal | CommandFailure

/**
 * @since 0.1.0
 * @category errors
 */
export type StructuredReadError = ReadError | CommandFlagsError | UnsupportedError

/**
 * @since 0.1.0
 * @category errors
 */
export type WriteError = RangeRefusal | ReadOnlyError | CommandFlagsError | UnsupportedError | CommandFailure

/**
 * @since 0.1.0
 * @category errors
 */
export type FlushError = UnsupportedError | CommandFailure

/**
 * @since 0.1.0
 * @category errors
 */
export type CacheError = RangeRefusal | CommandFlagsError | UnsupportedError | CommandFailure

/**
 * @since 0.1.0
 * @category errors
 */
export type BlockStatusError =
  | RangeRefusal
  | CommandFlagsError
  | UnsupportedError
  | NoMetaContextError
  | CommandFailure

/**
 * Bytes in memory that no other thread shares: Web Crypto, `Blob` and `Response` take them.
 *
 * It is `Uint8Array<ArrayBuffer>`, put so that TypeScript before 5.7, whose `Uint8Array` has no parameter, reads it as
 * `Uint8Array`; there the other would be `any`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Bytes extends ReturnType<Uint8Array["slice"]> {}

/**
 * What a structured read brought.
 *
 * @since 0.1.0
 * @category models
 */
export interface StructuredRead {
  /** All bytes of the range; holes are zeroes in it. */
  readonly bytes: Bytes
  /** The chunks, in the order in which they came; those that go on where one of their kind ended are one. */
  readonly pieces: ReadonlyArray<Piece>
}

/**
 * Commands, with the refusals `R` of the handle or view they belong to.
 *
 * Offsets are bytes from 0 to 2^64 - 1, lengths are bytes and at least 1. A range must lie inside the export and be
 * aligned to its minimum block size. Nothing is sent when a command is refused; replies come in any order, so wait
 * for a write before reading it back.
 *
 * A command that is longer than the server takes is sent as several requests, each when the one before it has succeeded,
 * with the same flags: reads and writes above the server's maximum payload, and also zeroes, trims and prefetches above
 * 32 MiB where the server has named no block sizes. The first failure is the command's and names the range that failed;
 * everything before that was done, and nothing behind it was sent. `Strictness.payload` switches it off.
 *
 * @since 0.1.0
 * @category models
 */
export interface Commands<R> {
  /**
   * Reads `length` bytes, at most 64 MiB. All or nothing; the bytes are the caller's own, in memory that is not shared: Web Crypto, `Blob` and `Response` take them. Results of up to 16 KiB share an `ArrayBuffer` with others: `slice` one before you transfer it.
   */
  readonly read: (offset: bigint, length: number) => Effect.Effect<Bytes, R | ReadError>
  /**
   * Reads into the caller's memory, as many bytes as it has: the way to read without allocating. What is in it after a
   * failure is undefined; after an interruption it is not written to any more.
   */
  readonly readInto: (offset: bigint, destination: Uint8Array) => Effect.Effect<void, R | ReadError>
  /**
   * Reads `length` bytes as `read` does, and lends them to `use` for as long as it runs, in memory of the connection's own
   * that later reads use again: the way to go through a disk. Over plain TCP and Unix sockets the system puts more than
   * 64 KiB right there, without another copy.
   *
   * `slice` what is to be kept: once `use` has succeeded other reads write over the bytes, also under a view of them, and a
   * write of them that was given up without a failure of `use` may still be on its way. Memory of a `use` that failed or was
   * interrupted is not used again. The memory may be a `SharedArrayBuffer`, which `postMessage` does not copy and Web Crypto
   * does not take.
   */
  readonly readBorrowed: <A, E2, R2>(
    offset: bigint,
    length: number,
    use: (bytes: Uint8Array) => Effect.Effect<A, E2, R2>
  ) => Effect.Effect<A, R | ReadError | E2, R2>
  /** Reads as `read` does, and tells data from holes (libnbd: `pread_structured`). Simple replies are one piece of data. */
  readonly readStructured: (
    offset: bigint,
    length: number,
    options?: StructuredReadOptions
  ) => Effect.Effect<StructuredRead, R | StructuredReadError>
  /**
   * Writes all of `bytes`, at most 64 MiB. They are not copied: leave them unchanged until the end of the Effect, and after an interruption until the connection is closed.
   */
  readonly write: (
    offset: bigint,
    bytes: Uint8Array,
    options?: WriteOptions
  ) => Effect.Effect<void, R | WriteError>
  /** Makes durable every write that was answered before this was sent. */
  readonly flush: Effect.Effect<void, R | FlushError>
  /** Says that the content is not needed any more; what reads return there afterwards is undefined. Up to 8 PiB - 1. */
  readonly trim: (
    offset: bigint,
    length: number | bigint,
    options?: WriteOptions
  ) => Effect.Effect<void, R | WriteError>
  /** Asks the server to fetch the range for reads to come. A hint: success promises nothing. As long as a trim. */
  readonly cache: (
    offset: bigint,
    length: number | bigint,
    options?: CommandOptions
  ) => Effect.Effect<void, R | CacheError>
  /** Makes the range read as zeroes. As long as a trim. */
  readonly writeZeroes: (
    offset: bigint,
    length: number | bigint,
    options?: WriteZeroesOptions
  ) => Effect.Effect<void, R | WriteError>
  /**
   * Asks what is known about a range, context by context, in the order of `contexts` or else of the server's grant. Each
   * answer covers one byte at least, and may cover less than was asked for: `extents` goes on from there. As long as a
   * trim; of all contexts together no more than 4,194,304 extents are kept.
   */
  readonly blockStatus: (
    offset: bigint,
    length: number | bigint,
    options?: BlockStatusOptions
  ) => Effect.Effect<ReadonlyArray<ContextStatus>, R | BlockStatusError>
  /**
   * What is known about a range of any length, by default the whole export: runs of bytes of the same status in every
   * context that was asked about, in order, without gaps, neighbours always different, however the server's answers are
   * cut. Asks again as the consumer goes on.
   */
  readonly extents: (options?: Extents.Options) => Stream.Stream<Extents.MappedExtent, R | BlockStatusError>
  /** Sends any command by its number, unchecked, and waits for its reply: for tests of servers. */
  readonly command: (command: RawCommand) => Effect.Effect<void, R | CommandFlagsError | CommandFailure>
}

/**
 * Names of the operations that send a command.
 *
 * @since 0.1.0
 * @category models
 */
export type CommandOperation = keyof Commands<never>

/**
 * Exports as ends of a copy.
 *
 * @since 0.1.0
 */
import type { Extent } from "@effect-nbd/block/Extent"
import { defaultMaximumPayload, type Export } from "@effect-nbd/core/Export"
import * as MetaContext from "@effect-nbd/core/MetaContext"
import { CommandError } from "@effect-nbd/core/transmission/CommandError"
import { errno } from "@effect-nbd/core/wire/Errno"
import * as WrittenZeroes from "@effect-nbd/node/file/WrittenZeroes"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { BlockSize, Sink, Source } from "./CopyEnds.ts"
import type { ExportConnections } from "./ExportConnections.ts"
import type { Fault } from "./Failure.ts"

/**
 * The destination does not take writes. Nothing was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class DestinationReadOnlyError extends Data.TaggedError("DestinationReadOnlyError")<{
  readonly destination: string
}> {
  override get message(): string {
    return `${this.destination} is read-only`
  }
}

/**
 * What was written could not be made durable, though that was asked for. Nothing was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class DestinationCannotFlushError extends Data.TaggedError("DestinationCannotFlushError")<{
  readonly destination: string
}> {
  override get message(): string {
    return `${this.destination} cannot be flushed: its server does not offer it`
  }
}

/** What holds where the server advertised nothing (specification, "Block size constraints"). */
const usual = { minimum: 1, preferred: 4096 }

const blockSizeOf = (known: Export): BlockSize => ({
  ...Option.getOrElse(known.blockSize, () => usual),
  maximum: known.maximumPayload
})

/**
 * An export to read from.
 *
 * @since 0.1.0
 * @category constructors
 */
export const source = (connections: ExportConnections): Source => {
  const { export: known, name, use } = connections
  return {
    name,
    size: known.size,
    geometry: { ...blockSizeOf(known), canExtents: known.canMetaContext(MetaContext.baseAllocation) },
    isRemote: true,
    extents: () => extentsFrom(connections, 0n),
    readBorrowed: (offset, length, useBytes) =>
      Effect.suspend(() => {
        let isRead = false
        const lend = (bytes: Uint8Array) => {
          isRead = true
          return useBytes(bytes)
        }
        // What fails with the bytes in its hands is not this end's to repeat.
        return use(({ device }) => device.readBorrowed(offset, length, lend), () => !isRead)
      })
  }
}

/** Anything may be there. */
const dataFrom = (offset: bigint, end: bigint): Stream.Stream<Extent> =>
  offset < end ? Stream.succeed({ offset, length: end - offset, allocated: true, zero: false }) : Stream.empty

/** What is known from an offset on, over another connection from where the one before was lost. */
const extentsFrom = (connections: ExportConnections, offset: bigint): Stream.Stream<Extent, Fault> =>
  Stream.suspend(() => {
    if (offset >= connections.export.size) return Stream.empty
    const connection = connections.next()
    let end = offset
    return connection.device.extents({ offset }).pipe(
      Stream.map((extent) => {
        end = extent.offset + extent.length
        return extent
      }),
      Stream.catchAll((error) =>
        connections.leave(connection, error)
          ? extentsFrom(connections, end)
          // Not to be told is no reason not to copy.
          : error._tag === "NbdCommandError" || error._tag === "NbdNoMetaContextError"
          ? dataFrom(end, connections.export.size)
          : Stream.fail(error)
      )
    )
  })

/**
 * What a destination is asked for.
 *
 * @since 0.1.0
 * @category models
 */
export interface SinkOptions {
  /** It has to be able to make durable what was written. */
  readonly flush: boolean
  /** Nothing is left unallocated: zeroes are stored. */
  readonly allocated: boolean
}

/**
 * An export to write to.
 *
 * @since 0.1.0
 * @category constructors
 */
export const sink = (
  connections: ExportConnections,
  { allocated, flush }: SinkOptions
): Effect.Effect<Sink, DestinationReadOnlyError | DestinationCannotFlushError> => {
  const { export: known, name, use, useForLong } = connections
  if (known.isReadOnly) return Effect.fail(new DestinationReadOnlyError({ destination: name }))
  if (flush && !known.canFlush) return Effect.fail(new DestinationCannotFlushError({ destination: name }))
  let isWritten = false
  const write: Sink["write"] = (offset, bytes) => {
    isWritten = true
    return use(({ device }) => device.write(offset, bytes))
  }
  const writeZeroes: ZeroRequest = (offset, length) => {
    isWritten = true
    return useForLong(({ device }) => device.writeZeroes(offset, length, { allocate: allocated }))
  }
  const written = WrittenZeroes.by(write, known.maximumPayload)
  return Effect.succeed({
    name,
    size: known.size,
    geometry: { ...blockSizeOf(known), canZero: true },
    isRemote: true,
    write,
    writeZeroes: known.canWriteZeroes ? zeroing(known, writeZeroes, written) : written,
    left: (upTo) =>
      isWritten
        ? `${name} is incomplete: it has the first ${upTo} bytes of the copy, and some behind them. Copy again`
        : undefined,
    // Connections that may be used as one have their writes flushed by any of them.
    flush: useForLong(({ device }) => device.flush)
  })
}

type ZeroRequest = (offset: bigint, length: bigint) => Effect.Effect<void, Fault>

/**
 * Zeroes by request, for as long as the server does not refuse them: some offer them and then do not know how. What was
 * refused is written, and from then on everything.
 */
const zeroing = (known: Export, request: ZeroRequest, written: ZeroRequest): ZeroRequest => {
  const longest = BigInt(longestZeroes(known))
  let isRefused = false
  return (offset, length) =>
    Effect.suspend(() => {
      const end = offset + length
      let at = offset
      return Effect.whileLoop({
        while: () => at < end,
        body: () => {
          const [from, left] = [at, end - at]
          const part = isRefused || left < longest ? left : longest
          at += part
          return isRefused ? written(from, part) : Effect.catchAll(request(from, part), (error) => {
            if (!isUnsupported(error)) return Effect.fail(error)
            isRefused = true
            return written(from, part)
          })
        },
        step: () => {}
      })
    })
}

/**
 * In bytes. nbd-server 3.26 and 3.27 zero the first 64 MiB of what is longer, and say that all is done: servers that name
 * no limits are trusted with as much as they are with data (C-089).
 */
const longestZeroes = (known: Export): number =>
  Option.isSome(known.blockSize) ? Number.MAX_SAFE_INTEGER : defaultMaximumPayload

/** Whether the server does not do this at all. EINVAL is what it is by itself, not what an unknown value counts as. */
const isUnsupported = (error: unknown): boolean =>
  error instanceof CommandError && (error.value === errno.ENOTSUP || error.value === errno.EINVAL)

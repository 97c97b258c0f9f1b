/**
 * Exports as ends of a copy.
 *
 * @since 0.1.0
 */
import type { Export } from "@effect-nbd/core/Export"
import * as Extents from "@effect-nbd/core/Extents"
import type * as Handle from "@effect-nbd/core/Handle"
import * as MetaContext from "@effect-nbd/core/MetaContext"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { BlockSize, Sink, Source } from "./CopyEnds.ts"
import * as WrittenZeroes from "./WrittenZeroes.ts"

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

/**
 * The connections to one export do not agree on what it is: it has changed in between, or there are several servers.
 *
 * @since 0.1.0
 * @category errors
 */
export class ExportChangedError extends Data.TaggedError("ExportChangedError")<{
  readonly export: string
  readonly sizes: ReadonlyArray<bigint>
}> {
  override get message(): string {
    return `${this.export} has a different size on each connection: ${this.sizes.join(", ")}`
  }
}

/**
 * One connection or more to an export whose server lets them be used as one.
 *
 * @since 0.1.0
 * @category models
 */
export type Connections = readonly [Handle.Connected, ...ReadonlyArray<Handle.Connected>]

/** What holds where the server advertised nothing (specification, "Block size constraints"). */
const usual = { minimum: 1, preferred: 4096 }

const blockSizeOf = (known: Export): BlockSize => ({
  ...Option.getOrElse(known.blockSize, () => usual),
  maximum: known.maximumPayload
})

/** Each time the next one, in a circle. */
const inTurn = (connections: Connections): () => Handle.Connected => {
  const [first, ...others] = connections
  let next = 0
  return () => {
    next = next === others.length ? 0 : next + 1
    return others[next - 1] ?? first
  }
}

const requireSame = (connections: Connections, name: string): Effect.Effect<void, ExportChangedError> => {
  const sizes = connections.map((connection) => connection.export.size)
  return sizes.every((size) => size === sizes[0])
    ? Effect.void
    : Effect.fail(new ExportChangedError({ export: name, sizes }))
}

/**
 * An export to read from.
 *
 * @since 0.1.0
 * @category constructors
 */
export const source = (connections: Connections, name: string): Effect.Effect<Source, ExportChangedError> => {
  const [{ export: known, extents }] = connections
  const next = inTurn(connections)
  const isToldZeroes = known.contexts.some((context) => context.name === MetaContext.baseAllocation)
  return Effect.as(requireSame(connections, name), {
    name,
    size: known.size,
    blockSize: blockSizeOf(known),
    extents: isToldZeroes
      ? extents({ contexts: [MetaContext.baseAllocation] }).pipe(
        Stream.map((extent) => ({ offset: extent.offset, length: extent.length, zero: Extents.isZero(extent) })),
        // Not to be told is no reason not to copy.
        Stream.catchTag("NbdCommandError", () => Stream.empty)
      )
      : undefined,
    read: (offset, length, use) => next().readBorrowed(offset, length, use)
  })
}

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
  connections: Connections,
  name: string,
  { allocated, flush }: SinkOptions
): Effect.Effect<Sink, DestinationReadOnlyError | DestinationCannotFlushError | ExportChangedError> => {
  const [first] = connections
  const known = first.export
  if (known.isReadOnly) return Effect.fail(new DestinationReadOnlyError({ destination: name }))
  if (flush && !known.canFlush) return Effect.fail(new DestinationCannotFlushError({ destination: name }))
  const next = inTurn(connections)
  const write: Sink["write"] = (offset, bytes) => next().write(offset, bytes)
  return Effect.as(requireSame(connections, name), {
    name,
    capacity: known.size,
    blockSize: blockSizeOf(known),
    prepare: () => Effect.void,
    write,
    zero: known.canWriteZeroes
      ? (offset, length) => next().writeZeroes(offset, length, { noHole: allocated })
      : WrittenZeroes.by(write, known.maximumPayload),
    finish: () => Effect.void,
    // Connections that may be used as one have their writes flushed by any of them.
    flush: first.flush
  })
}

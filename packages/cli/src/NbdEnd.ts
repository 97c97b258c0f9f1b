/**
 * Exports as ends of a copy.
 *
 * @since 0.1.0
 */
import type { Export } from "@effect-nbd/core/Export"
import type * as Handle from "@effect-nbd/core/Handle"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { BlockSize, Sink, Source } from "./Copy.ts"

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
 * A connected export to read from.
 *
 * @since 0.1.0
 * @category constructors
 */
export const source = (handle: Handle.Connected, name: string): Source => ({
  name,
  size: handle.export.size,
  blockSize: blockSizeOf(handle.export),
  readInto: handle.readInto
})

/**
 * A connected export to write to.
 *
 * @since 0.1.0
 * @category constructors
 */
export const sink = (
  handle: Handle.Connected,
  name: string,
  options: { readonly flush: boolean }
): Effect.Effect<Sink, DestinationReadOnlyError | DestinationCannotFlushError> => {
  if (handle.export.isReadOnly) return Effect.fail(new DestinationReadOnlyError({ destination: name }))
  if (options.flush && !handle.export.canFlush) {
    return Effect.fail(new DestinationCannotFlushError({ destination: name }))
  }
  return Effect.succeed({
    name,
    capacity: handle.export.size,
    blockSize: blockSizeOf(handle.export),
    prepare: () => Effect.void,
    write: handle.write,
    flush: handle.flush
  })
}

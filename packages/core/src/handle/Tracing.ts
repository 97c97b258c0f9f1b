/**
 * A span for every command, for those who want to see them.
 *
 * Chosen once, when the handle is made: a span costs more than a read of 4 KiB does, so that a handle that is not traced
 * must not even ask.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import type { SpanOptions } from "effect/Tracer"
import type { Commands } from "../Commands.ts"

const options = (offset?: bigint, length?: number | bigint): SpanOptions => ({
  kind: "client",
  attributes: {
    ...(offset === undefined ? {} : { "nbd.offset": offset }),
    ...(length === undefined ? {} : { "nbd.length": length })
  }
})

const within = (name: string, offset?: bigint, length?: number | bigint) =>
  Effect.withSpan(`nbd.${name}`, options(offset, length))

/** A span of what follows, and how to end it; only the first end counts. */
const beside = (name: string, offset: bigint, length: number) =>
  Effect.map(
    Effect.zip(Effect.makeSpan(`nbd.${name}`, options(offset, length)), Effect.clock),
    ([span, clock]) => {
      let isOver = false
      return (exit: Exit.Exit<unknown, unknown>): void => {
        if (!isOver) span.end(clock.unsafeCurrentTimeNanos(), exit)
        isOver = true
      }
    }
  )

/**
 * The same commands, each in a span `nbd.read`, `nbd.write`, … with its offset and length in bytes. What fails is the
 * span's failure.
 *
 * @since 0.1.0
 * @category tracing
 */
export const traced = <R>(commands: Commands<R>): Commands<R> => ({
  read: (offset, length) => within("read", offset, length)(commands.read(offset, length)),
  readInto: (offset, destination) =>
    within("readInto", offset, destination.byteLength)(commands.readInto(offset, destination)),
  // Its span is the read's, and what `use` does is beside it.
  readBorrowed: (offset, length, use) =>
    Effect.flatMap(beside("readBorrowed", offset, length), (end) =>
      commands.readBorrowed(offset, length, (bytes) => {
        end(Exit.void)
        return use(bytes)
      }).pipe(Effect.onExit((exit) => Effect.sync(() => end(exit))))),
  readStructured: (offset, length, options) =>
    within("readStructured", offset, length)(commands.readStructured(offset, length, options)),
  write: (offset, bytes, options) => within("write", offset, bytes.byteLength)(commands.write(offset, bytes, options)),
  flush: within("flush")(commands.flush),
  trim: (offset, length, options) => within("trim", offset, length)(commands.trim(offset, length, options)),
  cache: (offset, length, options) => within("cache", offset, length)(commands.cache(offset, length, options)),
  writeZeroes: (offset, length, options) =>
    within("writeZeroes", offset, length)(commands.writeZeroes(offset, length, options)),
  blockStatus: (offset, length, options) =>
    within("blockStatus", offset, length)(commands.blockStatus(offset, length, options)),
  extents: (options) => Stream.withSpan(commands.extents(options), "nbd.extents", { kind: "client" }),
  command: (command) => within("command", command.offset, command.length)(commands.command(command))
})

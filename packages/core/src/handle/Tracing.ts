/**
 * A span for every command, for those who want to see them.
 *
 * Chosen once, when the handle is made: a span costs more than a read of 4 KiB does, so that a handle that is not traced
 * must not even ask.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Commands } from "../Commands.ts"

const within = (name: string, offset?: bigint, length?: number | bigint) =>
  Effect.withSpan(`nbd.${name}`, {
    kind: "client",
    attributes: {
      ...(offset === undefined ? {} : { "nbd.offset": offset }),
      ...(length === undefined ? {} : { "nbd.length": length })
    }
  })

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
  readBorrowed: (offset, length, use) =>
    within("readBorrowed", offset, length)(commands.readBorrowed(offset, length, use)),
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

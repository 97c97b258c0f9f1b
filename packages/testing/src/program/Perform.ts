/**
 * One operation of a program on a handle.
 *
 * @since 0.1.0
 */
import type { Connected } from "@effect-nbd/core/Handle"
import { isZero } from "@effect-nbd/core/MetaContext"
import * as Effect from "effect/Effect"
import type { Request } from "../arbitraries/Requests.ts"

/**
 * What an operation brought: bytes, or what is known of them; `undefined` for one that brings nothing.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = ArrayLike<number | undefined> | undefined

/**
 * Performs a request. `memory` is what it writes, or reads into.
 *
 * @since 0.1.0
 * @category constructors
 */
export const perform = (
  handle: Connected,
  { command, length, offset }: Request,
  memory: Uint8Array
): Effect.Effect<Outcome, { readonly _tag: string }> => {
  switch (command) {
    case "read":
      return handle.read(offset, length)
    case "readInto":
      return Effect.as(handle.readInto(offset, memory), memory)
    case "readBorrowed":
      // Looked at a turn later: what others have done to the bytes by then would show.
      return handle.readBorrowed(offset, length, (bytes) => Effect.map(Effect.yieldNow(), () => bytes.slice()))
    case "write":
      return Effect.as(handle.write(offset, memory), undefined)
    case "trim":
    case "writeZeroes":
    case "cache":
      return Effect.as(handle[command](offset, length), undefined)
    case "flush":
      return Effect.as(handle.flush, undefined)
    case "blockStatus":
      return Effect.map(handle.blockStatus(offset, length), ([allocation]) => {
        const bytes = Array.from({ length }, (): number | undefined => undefined)
        for (const extent of allocation ?? []) {
          const from = Number(extent.offset - offset)
          if (isZero(extent.flags)) bytes.fill(0, from, from + Number(extent.length))
        }
        return bytes
      })
  }
}

/**
 * The first `length` bytes of the export, in reads that every server takes.
 *
 * @since 0.1.0
 * @category getters
 */
export const contentOf = (
  handle: Connected,
  length: number
): Effect.Effect<Uint8Array, { readonly _tag: string; readonly message: string }> =>
  Effect.gen(function*() {
    const content = new Uint8Array(length)
    const most = Math.min(handle.export.maximumPayload, 1_048_576)
    for (let at = 0; at < length; at += most) {
      yield* handle.readInto(BigInt(at), content.subarray(at, at + most))
    }
    return content
  })

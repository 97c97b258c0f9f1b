/**
 * The extents of an export, and what they come to by type. Nothing is printed here.
 *
 * @since 0.1.0
 */
import type { MappedExtent } from "@effect-nbd/core/Extents"
import * as MetaContext from "@effect-nbd/core/MetaContext"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/**
 * What flags mean, in nbdinfo's words; `undefined` where it has none.
 *
 * @since 0.1.0
 * @category getters
 */
export const meaningOf = (context: string, flags: bigint): string | undefined => {
  const meaning = MetaContext.decode(context, flags)
  switch (meaning._tag) {
    case "BaseAllocation":
      return flags > 3n ? undefined : ["data", "hole", "zero", "hole,zero"][Number(flags)]
    case "DirtyBitmap":
      return flags > 1n ? undefined : meaning.dirty ? "dirty" : "clean"
    case "AllocationDepth":
      return meaning.depth === 0n ? "absent" : meaning.depth === 1n ? "local" : `backing depth ${meaning.depth}`
    case "Unknown":
      return undefined
  }
}

/**
 * How many bytes have a type in a context.
 *
 * @since 0.1.0
 * @category models
 */
export interface Total {
  readonly context: string
  readonly flags: bigint
  readonly size: bigint
}

/**
 * A server that gives every extent a type of its own: their totals would say nothing, and take up all memory.
 *
 * @since 0.1.0
 * @category errors
 */
export class TooManyTypesError extends Data.TaggedError("TooManyTypesError")<{
  readonly context: string
  readonly limit: number
}> {
  override get message(): string {
    return `there are more than ${this.limit} types of extents in ${this.context}`
  }
}

const mostTypes = 65_536

/**
 * Totals context by context, in order, and by type inside each.
 *
 * @since 0.1.0
 * @category constructors
 */
export const totals = <E, R>(
  extents: Stream.Stream<MappedExtent, E, R>,
  contexts: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Total>, E | TooManyTypesError, R> =>
  Effect.suspend(() => {
    const sums = contexts.map((context) => ({ context, sizes: new Map<bigint, bigint>() }))
    const add = ({ length, status }: MappedExtent): TooManyTypesError | undefined => {
      for (const [index, { flags }] of status.entries()) {
        const sum = sums[index]
        if (sum === undefined) continue
        sum.sizes.set(flags, (sum.sizes.get(flags) ?? 0n) + length)
        if (sum.sizes.size > mostTypes) return new TooManyTypesError({ context: sum.context, limit: mostTypes })
      }
      return undefined
    }
    return extents.pipe(
      Stream.runForEachChunk((chunk) => {
        for (const extent of chunk) {
          const tooMany = add(extent)
          if (tooMany !== undefined) return Effect.fail(tooMany)
        }
        return Effect.void
      }),
      Effect.map(() =>
        sums.flatMap(({ context, sizes }) =>
          [...sizes].map(([flags, size]) => ({ context, flags, size })).toSorted((a, b) => a.flags < b.flags ? -1 : 1)
        )
      )
    )
  })

/**
 * The meta contexts that tell where an export has its bytes: `base:allocation` and `qemu:allocation-depth`.
 *
 * @since 0.1.0
 */
import type { Pages, PageState } from "@effect-nbd/block/Pages"
import type { StatusDescriptor } from "@effect-nbd/core/wire/BlockStatus"
import * as Effect from "effect/Effect"
import type { Failure } from "../Decider.ts"
import { allocationFlags, type ServedContext } from "../ServedContext.ts"
import type { Run } from "./Storage.ts"

function* mapped<A extends { readonly length: bigint }>(
  items: Iterable<A>,
  flagsOf: (item: A) => bigint
): Generator<StatusDescriptor> {
  for (const item of items) yield { length: item.length, flags: flagsOf(item) }
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const allocation = (
  extents: (offset: bigint, length: bigint) => Effect.Effect<Iterable<Run>, Failure>
): ServedContext<Failure> => ({
  name: "base:allocation",
  status: (offset, length) =>
    Effect.map(
      extents(offset, length),
      (found) =>
        mapped(found, ({ allocated, zero }) =>
          (allocated ? 0n : allocationFlags.HOLE) | (zero ? allocationFlags.ZERO : 0n))
    )
})

const depths: Record<PageState, bigint> = { Absent: 0n, Content: 2n, Hole: 1n, Zero: 1n, Data: 1n }

/**
 * Content is taken for a backing file, and a hole in it for something that the top layer holds.
 *
 * @since 0.1.0
 * @category constructors
 */
export const allocationDepth = (pages: Pages): ServedContext<never> => ({
  name: "qemu:allocation-depth",
  status: (offset, length) => Effect.sync(() => mapped(pages.stretches(offset, length), ({ state }) => depths[state]))
})

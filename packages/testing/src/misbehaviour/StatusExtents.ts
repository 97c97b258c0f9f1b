/**
 * Misbehaviour in the extents that block status tells of (H-137 to H-142, H-144, H-148).
 *
 * @since 0.1.0
 */
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import { make, type Misbehaviour } from "./Model.ts"
import { onExtents, onLastExtent } from "./StatusChanges.ts"

/**
 * An extent has no bytes.
 *
 * @since 0.1.0
 * @category steering
 */
export const emptyExtent: Misbehaviour = make({
  name: "emptyExtent",
  rule: "H-137",
  reaction: "Connection",
  sentence: "An extent has no bytes.",
  moment: "Answer",
  change: onExtents((extents) => [{ length: 0n, flags: 0n }, ...extents])
})

/**
 * The extents before the last one reach the end of what was asked for.
 *
 * @since 0.1.0
 * @category steering
 */
export const extentsBeyondNeed: Misbehaviour = make({
  name: "extentsBeyondNeed",
  rule: "H-138",
  reaction: "Request",
  sentence: "The extents before the last one reach the end of what was asked for.",
  moment: "Answer",
  change: onExtents((extents) => [...extents, { length: 4096n, flags: 0n }])
})

/**
 * There are several extents although one was asked for.
 *
 * @since 0.1.0
 * @category steering
 */
export const severalExtentsForOne: Misbehaviour = make({
  name: "severalExtentsForOne",
  rule: "H-139",
  reaction: "Tolerated",
  sentence: "There are several extents although one was asked for.",
  moment: "Answer",
  change: (speech, moment) =>
    (moment.request.flags & CommandFlags.REQ_ONE) === 0
      ? undefined
      : onExtents((extents) => [...extents, { length: 4096n, flags: 0n }])(speech)
})

/**
 * The last extent goes beyond what was asked for.
 *
 * @since 0.1.0
 * @category steering
 */
export const lastExtentLonger: Misbehaviour = make({
  name: "lastExtentLonger",
  rule: "H-140",
  reaction: "Tolerated",
  sentence: "The last extent goes beyond what was asked for.",
  moment: "Answer",
  change: onLastExtent(({ flags, length }) => ({ flags, length: length + 4096n }))
})

/**
 * The last extent goes beyond the export.
 *
 * @since 0.1.0
 * @category steering
 */
export const extentsBeyondExport: Misbehaviour = make({
  name: "extentsBeyondExport",
  rule: "H-141",
  reaction: "Tolerated",
  sentence: "The last extent goes beyond the export.",
  moment: "Answer",
  change: onLastExtent(({ flags }) => ({ flags, length: 0xffff_f000n }))
})

/**
 * An extent ends inside a block.
 *
 * @since 0.1.0
 * @category steering
 */
export const unalignedExtents: Misbehaviour = make({
  name: "unalignedExtents",
  rule: "H-142",
  reaction: "Tolerated",
  sentence: "An extent ends inside a block.",
  moment: "Answer",
  change: onExtents(([extent, ...extents]) =>
    extent === undefined ? [] : [{ ...extent, length: 100n }, { ...extent, length: extent.length - 100n }, ...extents]
  )
})

/**
 * The flags of an extent have bits without a meaning.
 *
 * @since 0.1.0
 * @category steering
 */
export const reservedStatusBits: Misbehaviour = make({
  name: "reservedStatusBits",
  rule: "H-144",
  reaction: "Tolerated",
  sentence: "The flags of an extent have bits without a meaning.",
  moment: "Answer",
  change: onExtents((extents) => extents.map(({ flags, length }) => ({ flags: flags | 0xffff_fff0n, length })))
})

/**
 * The flags of an extent have bits above 32. It takes extended headers.
 *
 * @since 0.1.0
 * @category steering
 */
export const wideStatus: Misbehaviour = make({
  name: "wideStatus",
  rule: "H-148",
  reaction: "Tolerated",
  sentence: "The flags of an extent have bits above 32.",
  moment: "Answer",
  change: onExtents((extents) => extents.map(({ flags, length }) => ({ flags: flags | 0x100_0000_0000n, length })))
})

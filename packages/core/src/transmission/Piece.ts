/**
 * What the chunks of a read said about its range: where there was data, and where a hole.
 *
 * @since 0.1.0
 * @public
 */

/**
 * A run of bytes that came as data, or as a hole, which reads as zeroes. In bytes; `offset` counts from the start of
 * the export.
 *
 * @since 0.1.0
 * @category models
 */
export interface Piece {
  readonly _tag: "Data" | "Hole"
  readonly offset: bigint
  readonly length: number
}

/**
 * Adds a piece. One that goes on where the last one of its kind ended makes that one longer.
 *
 * @since 0.1.0
 * @category decoding
 */
export const addPiece = (pieces: Array<Piece>, _tag: Piece["_tag"], offset: bigint, length: number): void => {
  const last = pieces.at(-1)
  if (last?._tag === _tag && last.offset + BigInt(last.length) === offset) {
    pieces[pieces.length - 1] = { ...last, length: last.length + length }
  } else pieces.push({ _tag, offset, length })
}

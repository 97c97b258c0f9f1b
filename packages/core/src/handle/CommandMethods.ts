/**
 * The methods that users call, each made of the request that it stands for.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Commands } from "../Commands.ts"
import type { Export } from "../Export.ts"
import * as Extents from "../Extents.ts"
import * as Request from "../Request.ts"
import type { Dispatch } from "./Dispatch.ts"

/**
 * The commands over `dispatch`. `target` is the export that `extents` is about, or the refusal of the handle's state.
 *
 * @since 0.1.0
 * @category constructors
 */
export const methodsOf = <R>(dispatch: Dispatch<R>, target: Effect.Effect<Export, R>): Commands<R> => ({
  read: (offset, length) => dispatch(new Request.Read(offset, length)),
  readInto: (offset, destination) => dispatch(new Request.ReadInto(offset, destination)),
  readBorrowed: (offset, length, use) =>
    Effect.flatMap(
      dispatch(new Request.ReadBorrowed(offset, length)),
      ({ bytes, giveBack }) =>
        Effect.map(use(bytes), (result) => {
          giveBack()
          return result
        })
    ),
  readStructured: (offset, length, options) => dispatch(new Request.ReadStructured(offset, length, options)),
  write: (offset, bytes, options) => dispatch(new Request.Write(offset, bytes, options)),
  flush: dispatch(new Request.Flush()),
  trim: (offset, length, options) => dispatch(new Request.Trim(offset, length, options)),
  cache: (offset, length, options) => dispatch(new Request.Cache(offset, length, options)),
  writeZeroes: (offset, length, options) => dispatch(new Request.WriteZeroes(offset, length, options)),
  blockStatus: (offset, length, options) => dispatch(new Request.BlockStatus(offset, length, options)),
  extents: (options) =>
    Extents.stream(
      target,
      (offset, length, asked) => dispatch(new Request.BlockStatus(offset, length, asked)),
      options
    ),
  command: (raw) => dispatch(new Request.Command(raw))
})

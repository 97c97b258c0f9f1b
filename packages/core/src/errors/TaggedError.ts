/**
 * The base of every error class of the library: its tag has a row in the table of errors, and any logger can print it.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type { ErrorTag } from "./ErrorTable.ts"
import { printFields } from "./Printed.ts"

/**
 * `Data.TaggedError` for a tag of the table, with a `toJSON` that gives tag, message and fields. Its own would leave
 * `bigint` to `JSON.stringify`, which throws.
 *
 * @since 0.1.0
 * @category constructors
 */
export const TaggedError = <Tag extends ErrorTag>(tag: Tag): ReturnType<typeof Data.TaggedError<Tag>> => {
  // A class of its own for each call, so that its prototype is ours to change.
  const Base = Data.TaggedError(tag)
  Object.defineProperty(Base.prototype, "toJSON", {
    value: function toJSON(this: Error): unknown {
      return printFields(this, { _tag: tag, message: this.message })
    },
    configurable: true,
    writable: true
  })
  return Base
}

/**
 * The base of the errors of this package: any logger can print them.
 *
 * Their fields are flat, so this is less than the same in core, which this package does not import.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * `Data.TaggedError` with a `toJSON` that gives tag, message and fields, `bigint` as decimal strings. Its own would leave
 * them to `JSON.stringify`, which throws.
 *
 * @since 0.1.0
 * @category constructors
 */
export const TaggedError = <Tag extends string>(tag: Tag): ReturnType<typeof Data.TaggedError<Tag>> => {
  // A class of its own for each call, so that its prototype is ours to change.
  const Base = Data.TaggedError(tag)
  Object.defineProperty(Base.prototype, "toJSON", {
    value: function toJSON(this: Error): unknown {
      const fields = Object.entries(this).map(([name, field]) => [
        name,
        typeof field === "bigint" ? field.toString() : field
      ])
      return { _tag: tag, message: this.message, ...Object.fromEntries(fields) }
    },
    configurable: true,
    writable: true
  })
  return Base
}

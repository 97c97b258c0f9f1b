/**
 * What greeting and haggling settled about a connection.
 *
 * @since 0.1.0
 */
import type { ReplyStyle } from "../Export.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Agreed {
  /** Only `newstyle-fixed` can haggle: the others know one way to an export. */
  readonly protocol: "oldstyle" | "newstyle" | "newstyle-fixed"
  readonly replyStyle: ReplyStyle
  /** Everything since NBD_OPT_STARTTLS is encrypted. */
  readonly tls: boolean
  /** The answer to NBD_OPT_EXPORT_NAME comes without its 124 bytes of padding. */
  readonly noZeroes: boolean
}

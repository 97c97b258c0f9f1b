/**
 * What commands may be told beside their range.
 *
 * @since 0.1.0
 * @public
 */

/**
 * What every command may be told.
 *
 * @since 0.1.0
 * @category models
 */
export interface CommandOptions {
  /** More flags, as they go on the wire, to test servers with. What the command does not know is refused. Default: 0. */
  readonly flags?: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface StructuredReadOptions extends CommandOptions {
  /** Ask for all of it in one chunk (NBD_CMD_FLAG_DF). Default: `false`. */
  readonly df?: boolean
}

/**
 * @since 0.1.0
 * @category models
 */
export interface WriteOptions extends CommandOptions {
  /** Be durable before the reply (NBD_CMD_FLAG_FUA). Default: `false`. */
  readonly fua?: boolean
}

/**
 * @since 0.1.0
 * @category models
 */
export interface WriteZeroesOptions extends WriteOptions {
  /** Keep the range allocated (NBD_CMD_FLAG_NO_HOLE). Default: `false`. */
  readonly noHole?: boolean
  /** Fail with ENOTSUP rather than be slower than a write (NBD_CMD_FLAG_FAST_ZERO). Default: `false`. */
  readonly fastZero?: boolean
}

/**
 * @since 0.1.0
 * @category models
 */
export interface BlockStatusOptions extends CommandOptions {
  /** The contexts to ask about, by name. Default: all that were granted. */
  readonly contexts?: ReadonlyArray<string> | undefined
  /** Ask for one extent a context (NBD_CMD_FLAG_REQ_ONE). Default: `false`. */
  readonly reqOne?: boolean
}

/**
 * A command by its number, for tests of servers.
 *
 * @since 0.1.0
 * @category models
 */
export interface RawCommand {
  /** 1 to 65,535; not 2, NBD_CMD_DISC, to which there is no reply, and not 0, whose reply brings data. */
  readonly code: number
  /** Default: 0. */
  readonly flags?: number
  /** Default: 0. */
  readonly offset?: bigint
  /** Default: the length of the payload, or 0. */
  readonly length?: number
  /** What follows the header. Default: nothing. */
  readonly payload?: Uint8Array
}

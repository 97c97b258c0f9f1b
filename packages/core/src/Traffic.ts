/**
 * How much went over a connection, counted both ways.
 *
 * @since 0.1.0
 */
import { type Printable, printable } from "./errors/Printed.ts"

/**
 * Counts of one handle, from its first byte on: of the protocol's own bytes, before TLS adds its own, and of the
 * messages that begin with a magic number. libnbd counts the same, but for option replies, which it leaves out.
 *
 * @since 0.1.0
 * @category models
 */
export interface Statistics extends Printable {
  readonly bytesSent: bigint
  /** Options and requests. */
  readonly chunksSent: bigint
  readonly bytesReceived: bigint
  /** The greeting, option replies, simple replies and chunks. */
  readonly chunksReceived: bigint
}

/**
 * The counters behind it. As numbers they are exact up to 8 PiB each way.
 *
 * @since 0.1.0
 * @category models
 */
export class Traffic {
  bytesSent = 0
  chunksSent = 0
  bytesReceived = 0
  chunksReceived = 0

  get statistics(): Statistics {
    return printable({
      bytesSent: BigInt(this.bytesSent),
      chunksSent: BigInt(this.chunksSent),
      bytesReceived: BigInt(this.bytesReceived),
      chunksReceived: BigInt(this.chunksReceived)
    })
  }
}

/**
 * What can become of a request to a device, besides success.
 *
 * @since 0.1.0
 */
import { TaggedError } from "./errors/TaggedError.ts"

/**
 * The requests of a device.
 *
 * @since 0.1.0
 * @category models
 */
export type Operation = "read" | "write" | "writeZeroes" | "trim" | "flush" | "extents"

/**
 * What a failure is called: the errors that NBD knows, which every file and device can be described with.
 *
 * @since 0.1.0
 * @category models
 */
export type Errno = "EPERM" | "EIO" | "ENOMEM" | "EINVAL" | "ENOSPC" | "EOVERFLOW" | "ENOTSUP" | "ESHUTDOWN"

/**
 * The request makes no sense for this device, and nothing was done: it is out of bounds, not aligned, too long, changes
 * what is read-only, or asks for what the device does not offer.
 *
 * @since 0.1.0
 * @category errors
 */
export class RequestRefusedError extends TaggedError("NbdRequestRefusedError")<{
  /** The device's name. */
  readonly device: string
  readonly operation: Operation
  readonly offset: bigint
  readonly length: bigint
  readonly why: "OutOfBounds" | "Unaligned" | "TooLong" | "ReadOnly" | "NotOffered"
  /** What it was measured by: size, minimum block size or maximum of the device, in bytes. */
  readonly limit?: bigint
}> {
  override get message(): string {
    return `${this.operation} of ${this.length} bytes at ${this.offset} of ${this.device}: ${this.reason}`
  }

  private get reason(): string {
    switch (this.why) {
      case "OutOfBounds":
        return `the device has ${this.limit} bytes`
      case "Unaligned":
        return `offset and length have to be multiples of ${this.limit} bytes (Align.any takes any)`
      case "TooLong":
        return `one request has ${this.limit} bytes at most (Split.to cuts longer ones)`
      case "ReadOnly":
        return "the device is read-only"
      case "NotOffered":
        return "the device does not offer it"
    }
  }
}

/**
 * The device failed this request. How much of a write was done is not known; other requests are not affected.
 *
 * @since 0.1.0
 * @category errors
 */
export class DeviceError extends TaggedError("NbdDeviceError")<{
  /** The device's name. */
  readonly device: string
  readonly operation: Operation
  readonly offset: bigint
  readonly length: bigint
  readonly errno: Errno
  /** In words, where more is known than the errno. */
  readonly reason?: string
}> {
  override get message(): string {
    const why = this.reason === undefined ? "" : `: ${this.reason}`
    return `${this.operation} of ${this.length} bytes at ${this.offset} of ${this.device} failed with ${this.errno}${why}`
  }
}

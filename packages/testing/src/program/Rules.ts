/**
 * What may become of an operation, by rules of its own: they share nothing with the client's checks.
 *
 * @since 0.1.0
 */
import type { Export } from "@effect-nbd/core/Export"
import type { StateTag } from "@effect-nbd/core/HandleState"
import { isRead, type Request } from "../arbitraries/Requests.ts"

/**
 * The tag with which each state refuses an operation.
 *
 * @since 0.1.0
 * @category constants
 */
export const refusalOf: Readonly<Record<StateTag, string>> = {
  Created: "NbdNotConnectedError",
  Connecting: "NbdStillConnectingError",
  Negotiating: "NbdStillNegotiatingError",
  Connected: "NbdAlreadyConnectedError",
  ShutDown: "NbdShutDownError",
  Dead: "NbdHandleDeadError"
}

/**
 * Tags of the errors with which the client itself may refuse a request to a connected export; none if it must send it.
 *
 * @since 0.1.0
 * @category guards
 */
export const refusals = (target: Export, { command, length, offset }: Request): ReadonlySet<string> => {
  const tags = new Set<string>()
  const changes = command === "write" || command === "trim" || command === "writeZeroes"
  if (changes && target.isReadOnly) tags.add("NbdReadOnlyError")
  const missing = command === "trim" && !target.canTrim || command === "writeZeroes" && !target.canWriteZeroes ||
    command === "cache" && !target.canCache || command === "flush" && !target.canFlush
  if (missing) tags.add("NbdUnsupportedError")
  if (command === "blockStatus" && target.contexts.length === 0) tags.add("NbdNoMetaContextError")
  if (command === "flush") return tags
  const block = BigInt(target.minimumBlockSize)
  if (length === 0) tags.add("NbdZeroLengthError")
  if (offset + BigInt(length) > target.size) tags.add("NbdOutOfBoundsError")
  if (offset % block !== 0n || BigInt(length) % block !== 0n) tags.add("NbdUnalignedError")
  if (length > longest(target, command)) tags.add("NbdRequestTooLargeError")
  return tags
}

const longest = (target: Export, command: Request["command"]): number => {
  return command === "write" || isRead(command) && target.replyStyle === "Simple" ? target.maximumPayload : Infinity
}

/**
 * The server may answer a read of this length with EOVERFLOW (C-095).
 *
 * @since 0.1.0
 * @category guards
 */
export const mayOverflow = (target: Export, { command, length }: Request): boolean =>
  isRead(command) && length > target.maximumPayload

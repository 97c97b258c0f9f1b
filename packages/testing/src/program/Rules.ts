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
  if (length > longest) tags.add("NbdRequestTooLargeError")
  return tags
}

/** No operation of a program is longer than this. */
const longest = 67_108_864

/**
 * The requests that an operation sends: several, in order, where it reads or writes more than the server takes at once.
 *
 * @since 0.1.0
 * @category getters
 */
export const piecesOf = (target: Export, request: Request): ReadonlyArray<Request> => {
  const { command, length, offset } = request
  const most = target.maximumPayload
  if (length <= most || command !== "write" && !isRead(command)) return [request]
  return Array.from({ length: Math.ceil(length / most) }, (_, at) => ({
    ...request,
    offset: offset + BigInt(at * most),
    length: Math.min(most, length - at * most)
  }))
}

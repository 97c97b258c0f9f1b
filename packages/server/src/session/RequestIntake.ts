/**
 * Requests as they come from the connection, with compact or with extended headers, in one form.
 *
 * @since 0.1.0
 */
import type { ReplyStyle } from "@effect-nbd/core/Export"
import type { StreamEnded } from "@effect-nbd/core/framing/FrameReader"
import { viewOf } from "@effect-nbd/core/wire/Bytes"
import {
  commandCode,
  decodeExtendedRequestHeader,
  decodeRequestHeader,
  extendedHeaderSize,
  headerSize
} from "@effect-nbd/core/wire/RequestHeader"
import { isWireError, WireError } from "@effect-nbd/core/wire/WireError"
import * as Effect from "effect/Effect"
import { hasPayload, maxPayload, type Request } from "../ServerRequest.ts"
import {
  type ClientMisbehavedError,
  misbehaved,
  type SessionContext,
  takeLong,
  takeRest,
  takeStart
} from "./SessionContext.ts"

/** What may be sent whatever an export advertises, without being taken for an attack (S-057). */
const neverAbusive = 33_554_432

/**
 * The next header. `maximum` is the payload that the export advertises.
 *
 * A payload that is too long ends the session: with compact headers one above 64 MiB, and with extended ones one that is
 * above both 32 MiB and `maximum` (S-057, S-098).
 *
 * @since 0.1.0
 * @category constructors
 */
export const takeHeader = (
  context: SessionContext,
  replyStyle: ReplyStyle,
  maximum: number
): Effect.Effect<Request, StreamEnded | ClientMisbehavedError> =>
  replyStyle === "Extended" ? takeExtended(context, maximum) : takeCompact(context)

const takeCompact = Effect.fnUntraced(function*(context: SessionContext) {
  const header = decodeRequestHeader(viewOf(yield* takeStart(context, headerSize, "Request header")), 0)
  if (isWireError(header)) return yield* misbehaved(context, header)
  const payloadLength = header.command === commandCode.WRITE ? header.length : 0
  if (payloadLength > maxPayload) return yield* tooLong(context, maxPayload, payloadLength, "NBD_CMD_WRITE, S-057")
  const request: Request = { ...header, length: BigInt(header.length), payloadLength }
  return request
})

const takeExtended = Effect.fnUntraced(function*(context: SessionContext, maximum: number) {
  const start = yield* takeStart(context, extendedHeaderSize, "Extended request header")
  const header = decodeExtendedRequestHeader(viewOf(start), 0)
  if (isWireError(header)) return yield* misbehaved(context, header)
  // A WRITE has a payload whatever its flags say: qemu's client (10.0) leaves the flag out, and qemu's server expects that.
  if (!hasPayload(header) && header.command !== commandCode.WRITE) {
    const request: Request = { ...header, payloadLength: 0 }
    return request
  }
  const longest = Math.min(maxPayload, Math.max(neverAbusive, maximum))
  if (header.length > BigInt(longest)) return yield* tooLong(context, longest, header.length, "Extended request, S-098")
  const request: Request = { ...header, payloadLength: Number(header.length) }
  return request
})

const tooLong = (context: SessionContext, longest: number, length: number | bigint, rule: string) =>
  misbehaved(context, new WireError(`at most ${longest} bytes of payload`, `${length}`, rule))

/**
 * The request's payload.
 *
 * @since 0.1.0
 * @category constructors
 */
export const takePayload = (
  context: SessionContext,
  { command, payloadLength }: Request
): Effect.Effect<Uint8Array, StreamEnded | ClientMisbehavedError> =>
  payloadLength === 0
    ? Effect.succeed(nothing)
    : context.account.progress.whileDue("Incoming", takeLong(context, payloadLength, ruleOf(command)))

/**
 * Takes and forgets the payload of a request that is refused, a piece at a time.
 *
 * @since 0.1.0
 * @category constructors
 */
export const skipPayload = Effect.fnUntraced(
  function*(context: SessionContext, { command, payloadLength }: Request) {
    for (let left = payloadLength; left > 0; left -= piece) {
      yield* takeRest(context, Math.min(left, piece), ruleOf(command))
    }
  }
)

const ruleOf = (command: number): string =>
  command === commandCode.WRITE ? "NBD_CMD_WRITE, C-139" : "Request payload, C-222"

const nothing = new Uint8Array(0)
const piece = 65_536

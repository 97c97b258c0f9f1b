/**
 * Requests as bytes, valid or not.
 *
 * @since 0.1.0
 */
import { concat, viewOf } from "@effect-nbd/core/wire/Bytes"
import {
  commandCode,
  encodeExtendedRequestHeader,
  encodeRequestHeader,
  extendedHeaderSize,
  headerSize
} from "@effect-nbd/core/wire/RequestHeader"

/**
 * A request, as its sender wants it: nothing in it has to fit the rest.
 *
 * @since 0.1.0
 * @category models
 */
export interface RawRequest {
  /** 1 by default. */
  readonly cookie?: bigint | number
  readonly offset?: bigint | number
  /** That of the payload by default, and 0 without one. */
  readonly length?: bigint | number
  readonly flags?: number
  readonly payload?: Uint8Array
}

/**
 * A command by its name, or by a number that need not be one.
 *
 * @since 0.1.0
 * @category models
 */
export type RawCommand = keyof typeof commandCode | number

const codeOf = (command: RawCommand): number => typeof command === "number" ? command : commandCode[command]

const withPayload = (header: Uint8Array, { payload }: RawRequest): Uint8Array =>
  payload === undefined ? header : concat([header, payload])

/**
 * A request with a compact header, and its payload. The length is cut to 32 bits.
 *
 * @since 0.1.0
 * @category encoding
 */
export const requestBytes = (command: RawCommand, request: RawRequest): Uint8Array => {
  const header = new Uint8Array(headerSize)
  const view = viewOf(header)
  const { cookie = 1, flags = 0, offset = 0, payload } = request
  const length = Number(BigInt.asUintN(32, BigInt(request.length ?? payload?.byteLength ?? 0)))
  encodeRequestHeader(view, 0, flags, codeOf(command), 0, BigInt(offset), length)
  view.setBigUint64(8, BigInt(cookie))
  return withPayload(header, request)
}

/**
 * The same with an extended header, whose length has 64 bits.
 *
 * @since 0.1.0
 * @category encoding
 */
export const extendedBytes = (command: RawCommand, request: RawRequest): Uint8Array => {
  const header = new Uint8Array(extendedHeaderSize)
  const view = viewOf(header)
  const { cookie = 1, flags = 0, offset = 0, payload } = request
  encodeExtendedRequestHeader(view, 0, flags, codeOf(command), 0, BigInt(offset), 0)
  view.setBigUint64(8, BigInt(cookie))
  view.setBigUint64(24, BigInt(request.length ?? payload?.byteLength ?? 0))
  return withPayload(header, request)
}

/**
 * The first bytes of a connection: the oldstyle or newstyle greeting, and the client flags that answer the latter.
 *
 * @since 0.1.0
 */
import { viewOf } from "./Bytes.ts"
import { ClientFlags, HandshakeFlags, TransmissionFlags } from "./Flags.ts"
import { magic } from "./Magic.ts"
import { hex, isWireError, WireError } from "./WireError.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface NewstyleGreeting {
  readonly _tag: "NewstyleGreeting"
  readonly flags: HandshakeFlags
}

/**
 * @since 0.1.0
 * @category models
 */
export interface OldstyleGreeting {
  readonly _tag: "OldstyleGreeting"
  /** Size of the only export, in bytes, up to 2^64 - 1. */
  readonly exportSize: bigint
  readonly flags: TransmissionFlags
}

/**
 * Lengths in bytes. A greeting is read in two steps: the first 16 bytes are common and tell which of the two follows.
 *
 * @since 0.1.0
 * @category constants
 */
export const size = {
  magic: 8,
  start: 16,
  newstyleRest: 2,
  oldstyleRest: 136,
  clientFlags: 4
} as const

/**
 * The two magic numbers that open a greeting (C-009, C-010).
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeGreetingStart = (
  bytes: Uint8Array
): NewstyleGreeting["_tag"] | OldstyleGreeting["_tag"] | WireError => {
  const first = decodeMagic(bytes)
  if (isWireError(first)) return first
  const second = bytes.subarray(size.magic, size.start)
  if (!mayBeSecondMagic(bytes)) {
    return new WireError(
      `${hex(magic.OPTION, 8)} (newstyle) or ${hex(magic.OLDSTYLE, 8)} (oldstyle)`,
      hexOf(second),
      "Greeting, C-010"
    )
  }
  if (bytes.byteLength < size.start) return new WireError("16 bytes", `${bytes.byteLength} bytes`, "Greeting, C-010")
  return beginsWith(newstyleBytes, second) ? "NewstyleGreeting" : "OldstyleGreeting"
}

/**
 * Whether these bytes can be the first bytes of an NBD server: only the first 8 are compared.
 *
 * @since 0.1.0
 * @category guards
 */
export const mayBeMagic = (bytes: Uint8Array): boolean => beginsWith(magicBytes, bytes.subarray(0, size.magic))

/**
 * The same of the second 8 bytes, which are all that is compared.
 *
 * @since 0.1.0
 * @category guards
 */
export const mayBeSecondMagic = (bytes: Uint8Array): boolean => {
  const second = bytes.subarray(size.magic, size.start)
  return beginsWith(newstyleBytes, second) || beginsWith(oldstyleBytes, second)
}

const beginsWith = (whole: Uint8Array, bytes: Uint8Array): boolean =>
  bytes.every((byte, index) => byte === whole[index])

const bytesOf = (value: bigint): Uint8Array => {
  const bytes = new Uint8Array(8)
  viewOf(bytes).setBigUint64(0, value)
  return bytes
}

const magicBytes = bytesOf(magic.GREETING)
const newstyleBytes = bytesOf(magic.OPTION)
const oldstyleBytes = bytesOf(magic.OLDSTYLE)

/** As many digits as the bytes that came have. */
const hexOf = (bytes: Uint8Array): string =>
  `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`

/**
 * The first 8 bytes alone: enough to know that the peer is no NBD server.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeMagic = (bytes: Uint8Array): "NBDMAGIC" | WireError => {
  if (bytes.byteLength < 8) return new WireError("8 bytes", `${bytes.byteLength} bytes`, "Greeting, C-009")
  const first = viewOf(bytes).getBigUint64(0)
  return first === magic.GREETING
    ? "NBDMAGIC"
    : new WireError(`${hex(magic.GREETING, 8)} (NBDMAGIC)`, hex(first, 8), "Greeting, C-009")
}

/**
 * @since 0.1.0
 * @category encoding
 */
export const encodeNewstyleGreeting = (flags: HandshakeFlags): Uint8Array => {
  const bytes = new Uint8Array(size.start + size.newstyleRest)
  const view = viewOf(bytes)
  view.setBigUint64(0, magic.GREETING)
  view.setBigUint64(8, magic.OPTION)
  view.setUint16(16, flags)
  return bytes
}

/**
 * What follows the two magic numbers of a newstyle greeting: 2 bytes.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeNewstyleRest = (bytes: Uint8Array): NewstyleGreeting | WireError =>
  bytes.byteLength === size.newstyleRest
    ? { _tag: "NewstyleGreeting", flags: HandshakeFlags(viewOf(bytes).getUint16(0)) }
    : new WireError("2 bytes of handshake flags", `${bytes.byteLength} bytes`, "Newstyle negotiation")

/**
 * @since 0.1.0
 * @category encoding
 */
export const encodeOldstyleGreeting = (greeting: {
  readonly exportSize: bigint
  readonly flags: TransmissionFlags
}): Uint8Array => {
  const bytes = new Uint8Array(size.start + size.oldstyleRest)
  const view = viewOf(bytes)
  view.setBigUint64(0, magic.GREETING)
  view.setBigUint64(8, magic.OLDSTYLE)
  view.setBigUint64(16, greeting.exportSize)
  view.setUint16(26, greeting.flags)
  return bytes
}

/**
 * What follows the two magic numbers of an oldstyle greeting: size, 32 bits of flags of which the upper half must be
 * clear (C-013), and 124 bytes of padding that are not looked at (H-014).
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeOldstyleRest = (bytes: Uint8Array): OldstyleGreeting | WireError => {
  if (bytes.byteLength !== size.oldstyleRest) {
    return new WireError("136 bytes", `${bytes.byteLength} bytes`, "Oldstyle negotiation, C-011")
  }
  const view = viewOf(bytes)
  const upper = view.getUint16(8)
  if (upper !== 0) return new WireError("handshake flags of zero", hex(upper, 2), "Oldstyle negotiation, C-013")
  return {
    _tag: "OldstyleGreeting",
    exportSize: view.getBigUint64(0),
    flags: TransmissionFlags(view.getUint16(10))
  }
}

/**
 * @since 0.1.0
 * @category encoding
 */
export const encodeClientFlags = (flags: ClientFlags): Uint8Array => {
  const bytes = new Uint8Array(size.clientFlags)
  viewOf(bytes).setUint32(0, flags)
  return bytes
}

/**
 * @since 0.1.0
 * @category decoding
 */
export const decodeClientFlags = (bytes: Uint8Array): ClientFlags | WireError =>
  bytes.byteLength === size.clientFlags
    ? ClientFlags(viewOf(bytes).getUint32(0))
    : new WireError("4 bytes of client flags", `${bytes.byteLength} bytes`, "Newstyle negotiation, C-018")

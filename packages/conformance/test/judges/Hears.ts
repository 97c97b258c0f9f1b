/**
 * Ways for a server to take a message for another one.
 */
import { concat, viewOf } from "@effect-nbd/core/wire/Bytes"
import { magic } from "@effect-nbd/core/wire/Magic"
import { encodeOption, optionCode, type OptionName } from "@effect-nbd/core/wire/NbdOption"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import type { FakeServer } from "@effect-nbd/testing"
import * as Effect from "effect/Effect"
import type { Hearing } from "./Breaker.ts"

const isOption = (message: Uint8Array): boolean =>
  message.byteLength >= 16 && viewOf(message).getBigUint64(0) === magic.OPTION

const requestMagics: ReadonlySet<number> = new Set([magic.REQUEST, magic.EXTENDED_REQUEST])

const isRequest = (message: Uint8Array): boolean =>
  message.byteLength >= 28 && requestMagics.has(viewOf(message).getUint32(0))

/** Commands as they are heard. */
export const codes = commandCode

/** A request's header. */
export interface Heard {
  flags: number
  command: number
  offset: bigint
  length: bigint
}

/** An option's data as other data, or as the whole of another message. */
export const option = (
  wanted: OptionName | number,
  change: (data: Uint8Array, server: FakeServer.FakeServerService) => Uint8Array | undefined
): Hearing =>
(message, server) => {
  const code = typeof wanted === "number" ? wanted : optionCode[wanted]
  if (!isOption(message) || viewOf(message).getUint32(8) !== code) return message
  const changed = change(message.subarray(16), server)
  return changed === undefined ? message : isOption(changed) ? changed : encodeOption(code, changed)
}

/** A request with another header, which may be changed in place. */
export const request = (
  change: (heard: Heard, server: FakeServer.FakeServerService) => void
): Hearing =>
(message, server) => {
  if (!isRequest(message)) return message
  const copy = Uint8Array.from(message)
  const view = viewOf(copy)
  const isExtended = view.getUint32(0) === magic.EXTENDED_REQUEST
  const heard: Heard = {
    flags: view.getUint16(4),
    command: view.getUint16(6),
    offset: view.getBigUint64(16),
    length: isExtended ? view.getBigUint64(24) : BigInt(view.getUint32(24))
  }
  change(heard, server)
  view.setUint16(4, heard.flags)
  view.setUint16(6, heard.command)
  view.setBigUint64(16, heard.offset)
  if (isExtended) view.setBigUint64(24, heard.length)
  else view.setUint32(24, Number(heard.length))
  return copy
}

export const is = ({ command }: Heard, name: keyof typeof commandCode): boolean => command === commandCode[name]

/** A write's payload is taken for the next request. */
export const leavesPayload = (which: (heard: Heard) => boolean): Hearing =>
  request((heard) => {
    if (is(heard, "WRITE") && which(heard)) heard.command = 0x7777
  })

/** From now on nobody is served any more. */
export const dies = (server: FakeServer.FakeServerService): void => Effect.runSync(server.refuseConnections(true))

/** Bytes of the disk change behind the protocol's back. */
export const scribbles = (server: FakeServer.FakeServerService, offset: bigint): void => {
  const found = server.exports.get("disk")
  if (found !== undefined) Effect.runSync(Effect.orDie(found.write(offset, new Uint8Array(512).fill(0xee))))
}

/** A text with one in it replaced, of the same length. */
export const replaced = (data: Uint8Array, text: string, by: string): Uint8Array | undefined => {
  const all = Buffer.from(data)
  const at = all.indexOf(text)
  return at === -1 ? undefined : concat([all.subarray(0, at), Buffer.from(by), all.subarray(at + text.length)])
}

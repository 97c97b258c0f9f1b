/**
 * What the tests of TLS have in common: a transport of one connection, and the lines of a handshake around TLS.
 */
import type { Transport as Seam } from "@effect-nbd/core"
import { Transport } from "@effect-nbd/core/Transport"
import * as Effect from "effect/Effect"
import { concat, infoRequest, newstyleGreeting, opt, option, optionReply, rep, u32 } from "../fixtures/HandWritten.ts"
import { ack, plain } from "./Haggled.ts"
import type { Line } from "./ScriptedPeer.ts"

export const over = (connection: Seam.Connection, tls?: Seam.Transport["Type"]["tls"]) =>
  Effect.provideService(Transport, Transport.of({ target: "by hand", open: Effect.succeed(connection), tls }))

export const plainGo = { requestStructuredReplies: false, requestBlockSize: false, fullInfo: false } as const

export const greeting = (
  flags = 3
): ReadonlyArray<Line> => [{ server: newstyleGreeting(flags) }, { client: u32(flags) }]
export const go: ReadonlyArray<Line> = [
  { client: option(opt.GO, infoRequest("secret")) },
  { server: concat(optionReply(opt.GO, rep.INFO, plain), ack(opt.GO)) }
]

/**
 * Everything that connecting can fail with.
 *
 * @since 0.1.0
 */
import { rowOf, type TagsByConnection } from "../errors/ErrorTable.ts"
import type { TlsError, TlsUnavailableError } from "../TlsError.ts"
import type { OpenError } from "../TransportError.ts"
import type { ExportRefusedError, GreetingFault, HagglingRefusal, HandshakeTimeoutError } from "./HandshakeError.ts"

/**
 * The transport, the peer, or the server's answer to what was asked of it.
 *
 * @since 0.1.0
 * @category errors
 */
export type ConnectError =
  | OpenError
  | GreetingFault
  | HandshakeTimeoutError
  | HagglingRefusal
  | ExportRefusedError
  | TlsUnavailableError
  | TlsError

/**
 * Nothing was opened.
 *
 * @since 0.1.0
 * @category guards
 */
export const isOpenError = (error: ConnectError): error is Extract<ConnectError, { readonly _tag: NothingOpened }> =>
  rowOf(error._tag).connection === "None"

/**
 * After these nothing was opened, and libnbd allows another try on the same handle: the name did not resolve, or no
 * address of a TCP host answered. A stream of the program's own, and a Unix socket whose queue stayed full, which libnbd
 * does not wait for, are like those.
 *
 * @since 0.1.0
 * @category guards
 */
export const isRetriable = (error: OpenError): boolean => {
  const row = rowOf(error._tag)
  if (row.connection !== "None") return false
  switch (row.handle) {
    case "Created":
      return true
    case "Dead":
      return false
    case "CreatedAfterTcp":
      return "network" in error && error.network === "tcp"
  }
}

/**
 * Errors after which a connection that was open is of no more use. The others are refusals: haggling can go on.
 *
 * @since 0.1.0
 * @category guards
 */
export const isFatal = (error: ConnectError): error is Exclude<ConnectError, { readonly _tag: HagglingGoesOn }> =>
  rowOf(error._tag).connection !== "Negotiating"

type NothingOpened = TagsByConnection<"None">

type HagglingGoesOn = TagsByConnection<"Negotiating">

/**
 * What a server offers while haggling, and what haggling may come to.
 *
 * @since 0.1.0
 */
import type { TlsServerSettings } from "@effect-nbd/core/Tls"
import type { TlsError } from "@effect-nbd/core/TlsError"
import type { TransportLostError } from "@effect-nbd/core/TransportError"
import type { OptionName } from "@effect-nbd/core/wire/NbdOption"
import type { ReplyTypeName } from "@effect-nbd/core/wire/OptionReply"
import type { ServedExport } from "../ServedExport.ts"
import type { Terms } from "../session/Terms.ts"

/**
 * The handshakes a server may speak: with options, with NBD_OPT_EXPORT_NAME alone, or without any choice.
 *
 * @since 0.1.0
 * @category models
 */
export type Protocol = "newstyle-fixed" | "newstyle" | "oldstyle"

/**
 * Name of an error reply without its prefix, for example `ERR_POLICY`.
 *
 * @since 0.1.0
 * @category models
 */
export type ErrorReplyName = Extract<ReplyTypeName, `ERR_${string}`>

/**
 * Options to refuse whatever they ask, each with an error reply and a text, which is empty by default. A refused
 * EXPORT_NAME ends the connection, since it has no error reply.
 *
 * @since 0.1.0
 * @category models
 */
export type Refusals = {
  readonly [Name in OptionName]?: ErrorReplyName | { readonly reply: ErrorReplyName; readonly message: string }
}

/**
 * A server's TLS. `Allow` is the specification's SELECTIVETLS: exports that are `tlsOnly` need it. `Require` is its
 * FORCEDTLS: nothing is told and nothing served without it.
 *
 * @since 0.1.0
 * @category models
 */
export interface TlsRules {
  readonly mode: "Allow" | "Require"
  readonly settings: TlsServerSettings
}

/**
 * What the server offers while haggling.
 *
 * @since 0.1.0
 * @category models
 */
export interface HandshakeRules {
  /** In the order of NBD_OPT_LIST. The first is the oldstyle one, and the default where none has the empty name. */
  readonly exports: ReadonlyArray<ServedExport>
  readonly protocol: Protocol
  readonly structuredReplies: boolean
  readonly extendedHeaders: boolean
  readonly metaContexts: boolean
  /** `undefined`: there is none (NOTLS). */
  readonly tls: TlsRules | undefined
  readonly noZeroes: boolean
  /** Refuse clients that do not ask for the constraints of an export that has some. */
  readonly requireBlockSize: boolean
  readonly refuse: Refusals
}

/**
 * What haggling settled.
 *
 * @since 0.1.0
 * @category models
 */
export type Settled =
  | { readonly _tag: "Agreed"; readonly terms: Terms }
  | { readonly _tag: "Aborted" }
  | { readonly _tag: "ExportRefused"; readonly exportName: string }
  | { readonly _tag: "TlsFailed"; readonly error: TlsError | TransportLostError }

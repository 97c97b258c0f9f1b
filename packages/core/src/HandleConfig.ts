/**
 * The settings of a handle.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import { checkExportName } from "./handshake/ExportName.ts"
import type { ExportNameInvalidError, MetaContextInvalidError } from "./handshake/HandshakeError.ts"
import type { Wanted } from "./handshake/InfoAndGo.ts"
import { checkContext, type WantedContext } from "./handshake/MetaContext.ts"
import type { TlsSettings } from "./Tls.ts"
import { strict, type Strictness } from "./transmission/Strictness.ts"
import type { Limits } from "./transmission/Transmission.ts"
import { HandshakeFlags } from "./wire/Flags.ts"

/**
 * What a handle may be told when it is made. Everything has a default, libnbd's unless another is named.
 *
 * @since 0.1.0
 * @category models
 */
export interface HandleConfig {
  /**
   * The export to enter; at most 4096 bytes of UTF-8. Default: the one that the transport names (a URI may name one), or
   * else the empty name, the server's default export.
   */
  readonly exportName?: string
  /** Stop in `Negotiating` and leave haggling to the caller. Default: `false`. */
  readonly optMode?: boolean
  /** Ask for structured replies. Default: `true`. Without them there are no extended headers and no meta contexts. */
  readonly requestStructuredReplies?: boolean
  /** Ask for extended headers, and go on without where the server does not know them. Default: `true`. */
  readonly requestExtendedHeaders?: boolean
  /**
   * The meta contexts that block status is to be asked for, for example `base:allocation`. Each must be granted, or the
   * export is not entered (libnbd goes on without); one that is optional need not be. Default: none.
   */
  readonly metaContexts?: ReadonlyArray<string | WantedContext>
  /**
   * Have the contexts selected on the way into an export, and before asking about one. Default: `true`; otherwise that is
   * the caller's to do, by `setMetaContexts`.
   */
  readonly requestMetaContexts?: boolean
  /** Ask for block size constraints. Default: `true`. */
  readonly requestBlockSize?: boolean
  /** Ask for the export's canonical name and description. Default: `true` (libnbd: false). */
  readonly fullInfo?: boolean
  /**
   * Enter exports by NBD_OPT_EXPORT_NAME, without asking for NBD_OPT_GO first; then extended headers are not asked for by
   * default, which forbid it. For those who test servers. Default: `false`.
   */
  readonly forceExportName?: boolean
  /**
   * Enter an export whose transmission flags are all zero, though a server has to set HAS_FLAGS at least: some old ones, such
   * as NBDServer for Windows, never set any. It can be read and written then, and nothing else, as with QEMU. Default:
   * `false`, as in libnbd: it is a broken protocol.
   */
  readonly acceptZeroFlags?: boolean
  /** Handshake flags this side is willing to use. Default: FIXED_NEWSTYLE and NO_ZEROES. */
  readonly handshakeFlags?: HandshakeFlags
  /**
   * Default: what the transport names (an `nbds` URI asks for TLS), or else no TLS. In opt mode too TLS is settled before
   * `Negotiating`; to begin with plaintext options, disable it here and use `startTls`.
   */
  readonly tls?: TlsSettings
  /**
   * From the open connection to the end of the handshake, and for each option in opt mode. Default: 30 seconds (libnbd:
   * none).
   */
  readonly handshakeTimeout?: Duration.DurationInput | undefined
  /**
   * How long the server may take to say its first byte, and no longer than `handshakeTimeout`. Default: as long as
   * `handshakeTimeout`, if that is given, or else what the transport names (5 seconds over TCP, where a peer that waits for
   * its client to speak is no NBD server).
   */
  readonly greetingTimeout?: Duration.DurationInput | undefined
  /**
   * How long the end of the handle's scope waits for replies that are under way, before it says goodbye and closes: servers
   * are in use that do not survive it otherwise. With nothing under way there is no wait. Default: what the transport says
   * (the fake server: no wait), or else 1 second (libnbd: no wait).
   */
  readonly closeTimeout?: Duration.DurationInput | undefined
  /** How much may be in flight at once. Default: 1024 requests and 64 MiB of payload (libnbd: no limit). */
  readonly limits?: Partial<Limits>
  /** Which checks are made before a command is sent. Default: all. */
  readonly strictness?: Partial<Strictness>
  /**
   * Put every command in a span of its own, `nbd.read` and so on. It costs several times what a small read does.
   * Default: `false`. Connecting and haggling have spans in any case, and are logged at level `Debug`.
   */
  readonly traceCommands?: boolean
}

/**
 * What may still be changed while negotiating, as in libnbd.
 *
 * @since 0.1.0
 * @category models
 */
export type Adjustment = Pick<
  HandleConfig,
  "exportName" | "metaContexts" | "requestMetaContexts" | "requestBlockSize" | "fullInfo" | "forceExportName"
>

/**
 * The same with every default filled in.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  /** `undefined` leaves it to the transport. */
  readonly exportName: string | undefined
  readonly optMode: boolean
  readonly requestStructuredReplies: boolean
  readonly requestExtendedHeaders: boolean
  readonly metaContexts: ReadonlyArray<WantedContext>
  readonly requestMetaContexts: boolean
  readonly requestBlockSize: boolean
  readonly fullInfo: boolean
  readonly forceExportName: boolean
  readonly acceptZeroFlags: boolean
  readonly handshakeFlags: HandshakeFlags
  /** `undefined` leaves it to the transport. */
  readonly tls: TlsSettings | undefined
  readonly handshakeTimeout: Duration.Duration
  /** `undefined` leaves it to the transport. */
  readonly greetingTimeout: Duration.Duration | undefined
  /** `undefined` leaves it to the transport. */
  readonly closeTimeout: Duration.Duration | undefined
  readonly limits: Limits
  readonly strictness: Strictness
  readonly traceCommands: boolean
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const settingsOf = (config: HandleConfig): Settings => ({
  exportName: config.exportName,
  optMode: config.optMode ?? false,
  requestStructuredReplies: config.requestStructuredReplies ?? true,
  requestExtendedHeaders: config.requestExtendedHeaders ?? config.forceExportName !== true,
  metaContexts: (config.metaContexts ?? []).map(wantedContext),
  requestMetaContexts: config.requestMetaContexts ?? true,
  requestBlockSize: config.requestBlockSize ?? true,
  fullInfo: config.fullInfo ?? true,
  forceExportName: config.forceExportName ?? false,
  acceptZeroFlags: config.acceptZeroFlags ?? false,
  handshakeFlags: config.handshakeFlags ??
    HandshakeFlags(HandshakeFlags.FIXED_NEWSTYLE | HandshakeFlags.NO_ZEROES),
  tls: config.tls,
  handshakeTimeout: Duration.decode(config.handshakeTimeout ?? "30 seconds"),
  greetingTimeout: decoded(config.greetingTimeout ?? config.handshakeTimeout),
  closeTimeout: decoded(config.closeTimeout),
  limits: { requests: 1024, bytes: 67_108_864, ...config.limits },
  strictness: { ...strict, ...config.strictness },
  traceCommands: config.traceCommands ?? false
})

const decoded = (time: Duration.DurationInput | undefined): Duration.Duration | undefined =>
  time === undefined ? undefined : Duration.decode(time)

/**
 * @since 0.1.0
 * @category constructors
 */
export const wantedContext = (context: string | WantedContext): WantedContext =>
  typeof context === "string" ? { name: context, optional: false } : context

/**
 * What GO and INFO are to ask for.
 *
 * @since 0.1.0
 * @category getters
 */
export const wantedInfo = (
  { acceptZeroFlags: zeroFlags, fullInfo, requestBlockSize: blockSize }: Settings
): Wanted => ({
  blockSize,
  fullInfo,
  zeroFlags
})

/**
 * The contexts to have selected before GO and INFO.
 *
 * @since 0.1.0
 * @category getters
 */
export const contextsToRequest = ({ metaContexts, requestMetaContexts }: Settings): ReadonlyArray<WantedContext> =>
  requestMetaContexts ? metaContexts : []

/**
 * Refuses names that no server can be asked for.
 *
 * @since 0.1.0
 * @category guards
 */
export const checkNames = (
  exportName: string,
  contexts: ReadonlyArray<string>
): ExportNameInvalidError | MetaContextInvalidError | undefined => {
  const fault = checkExportName(exportName)
  if (fault !== undefined) return fault
  for (const context of contexts) {
    const fault = checkContext(context)
    if (fault !== undefined) return fault
  }
  return undefined
}

/**
 * The settings of a handle.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { Wanted } from "./handshake/InfoAndGo.ts"
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
  /** Ask for structured replies. Default: `true`. */
  readonly requestStructuredReplies?: boolean
  /** Ask for block size constraints. Default: `true`. */
  readonly requestBlockSize?: boolean
  /** Ask for the export's canonical name and description. Default: `true` (libnbd: false). */
  readonly fullInfo?: boolean
  /** Handshake flags this side is willing to use. Default: FIXED_NEWSTYLE and NO_ZEROES. */
  readonly handshakeFlags?: HandshakeFlags
  /**
   * Default: what the transport names (an `nbds` URI asks for TLS), or else no TLS. In opt mode too TLS is settled before
   * `Negotiating`; to begin with plaintext options, disable it here and use `startTls`.
   */
  readonly tls?: TlsSettings
  /** From the first byte to the end of the handshake, and for each option in opt mode. Default: 30 seconds (libnbd: none). */
  readonly handshakeTimeout?: Duration.DurationInput
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
 * The same with every default filled in.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  /** `undefined` leaves it to the transport. */
  readonly exportName: string | undefined
  readonly optMode: boolean
  readonly structuredReplies: boolean
  readonly wanted: Wanted
  readonly handshakeFlags: HandshakeFlags
  /** `undefined` leaves it to the transport. */
  readonly tls: TlsSettings | undefined
  readonly handshakeTimeout: Duration.Duration
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
  structuredReplies: config.requestStructuredReplies ?? true,
  wanted: { blockSize: config.requestBlockSize ?? true, fullInfo: config.fullInfo ?? true },
  handshakeFlags: config.handshakeFlags ??
    HandshakeFlags(HandshakeFlags.FIXED_NEWSTYLE | HandshakeFlags.NO_ZEROES),
  tls: config.tls,
  handshakeTimeout: Duration.decode(config.handshakeTimeout ?? "30 seconds"),
  limits: { requests: 1024, bytes: 67_108_864, ...config.limits },
  strictness: { ...strict, ...config.strictness },
  traceCommands: config.traceCommands ?? false
})

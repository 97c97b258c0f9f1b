/**
 * What a server is told when it is made, and its defaults.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Decider from "../Decider.ts"
import * as Observer from "../Observer.ts"
import * as ServedExport from "../ServedExport.ts"
import * as Speaker from "../Speaker.ts"
import { Memory } from "./Memory.ts"
import type { HandshakeRules, Protocol, Refusals, TlsRules } from "./ServerHandshake.ts"
import type { Shared } from "./Session.ts"
import { Turns } from "./Turns.ts"

/**
 * What to serve and how. Everything but the exports has a default.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerConfig {
  /** In the order of listing. The first is the default export, unless one has the empty name. */
  readonly exports: ReadonlyArray<ServedExport.ExportConfig | ServedExport.ServedExport>
  /** `newstyle-fixed` by default. */
  readonly protocol?: Protocol
  /** Whether structured replies can be negotiated; `true` by default. */
  readonly structuredReplies?: boolean
  /** Whether extended headers can be negotiated; `true` by default. */
  readonly extendedHeaders?: boolean
  /** Whether meta contexts can be listed and selected; `true` by default. */
  readonly metaContexts?: boolean
  /**
   * Whether TLS can or must be begun; none by default. It takes a connection that can be encrypted.
   */
  readonly tls?: TlsRules
  /** Whether the server offers to leave out the padding after NBD_OPT_EXPORT_NAME; `true` by default. */
  readonly noZeroes?: boolean
  /** Refuse clients that do not ask for the constraints of an export that has some; `false` by default. */
  readonly requireBlockSize?: boolean
  /** Options to refuse; none by default. */
  readonly refuse?: Refusals
  /** Most bytes of data in one chunk of a structured READ; an extent in one chunk by default. */
  readonly chunkSize?: number
  /** Order of the chunks of a structured READ; `Ascending` by default. */
  readonly chunkOrder?: "Ascending" | "Descending"
  /** Most descriptors in one chunk of block status, and 1,048,576 at most; 65,536 by default. */
  readonly maxDescriptors?: number
  /** End each structured reply that has content with a NONE chunk; `false` by default. */
  readonly endWithNone?: boolean
  /** How anything but a READ is answered once structured replies are negotiated; `Structured` by default. */
  readonly acknowledgements?: "Simple" | "Structured"
  /** How long a client may take to enter an export, on Effect's clock; for ever by default. */
  readonly handshakeTimeout?: Duration.DurationInput
  /**
   * Most sessions at a time, 1 at least; as many as there are clients by default. When there are so many, a further client
   * takes the place of the one that has been in its handshake for the longest (`Displaced`), or in the end of its session.
   * Where all others have entered an export, it is closed on itself (`TurnedAway`).
   */
  readonly maxSessions?: number
  /** Requests of one session that may wait for their answer at a time; 256 by default. */
  readonly maxPending?: number
  /**
   * Bytes of payload that all sessions together may have in memory: what WRITEs bring until a disk has taken it, and
   * what replies bring until a client has. 256 MiB by default. 1 MiB of it is each session's own, so that requests
   * which are not longer than that wait for no other session; the rest is shared. Where there are so many sessions that
   * less than 64 MiB would be shared, it is 64 MiB, or all of `memory` where that is less, in addition to the sessions'
   * own memory.
   *
   * Requests for which there is no memory wait. While a request waits, a session that has some of the shared memory is
   * ended as `Stalled` if its client has moved nothing of a payload or a reply for half a second, or in one direction
   * for 2 seconds. One session has at most 64 MiB in each direction.
   */
  readonly memory?: number
  /** Who sends what is to be sent; `Speaker.plain` by default. */
  readonly speaking?: Speaker.Speaking
  /** Who decides what becomes of each request; every one is let through by default. */
  readonly decider?: Decider.Decider
  /** Who is told what clients do; none by default. */
  readonly observer?: Observer.Observer
}

/**
 * What the sessions of such a server share, with every default filled in.
 *
 * @since 0.1.0
 * @category constructors
 */
export const sharedOf = (config: ServerConfig): Shared => {
  const handshake: HandshakeRules = {
    exports: config.exports.map(ServedExport.make),
    protocol: config.protocol ?? "newstyle-fixed",
    structuredReplies: config.structuredReplies ?? true,
    extendedHeaders: config.extendedHeaders ?? true,
    metaContexts: config.metaContexts ?? true,
    tls: config.tls,
    noZeroes: config.noZeroes ?? true,
    requireBlockSize: config.requireBlockSize ?? false,
    refuse: config.refuse ?? {}
  }
  const transmission = {
    acknowledgements: config.acknowledgements ?? "Structured",
    chunkSize: config.chunkSize,
    chunkOrder: config.chunkOrder ?? "Ascending",
    endWithNone: config.endWithNone ?? false,
    maxDescriptors: config.maxDescriptors ?? 65_536,
    maxPending: config.maxPending ?? 256
  } as const
  const handshakeTimeout = Duration.decode(config.handshakeTimeout ?? Duration.infinity)
  return {
    handshake,
    handshakeTimeout,
    transmission,
    speaking: config.speaking ?? Speaker.plain,
    decider: config.decider ?? Decider.none,
    observer: config.observer ?? Observer.none,
    memory: new Memory(config.memory ?? 268_435_456),
    turns: new Turns(),
    maxSessions: config.maxSessions ?? Infinity,
    sessions: new Set(),
    opened: 0
  }
}

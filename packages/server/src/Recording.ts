/**
 * What the fake server remembers of its clients, for tests to look at and to wait for.
 *
 * Every list is a ring that keeps the newest entries only, so memory is bounded however long a server runs. It decides
 * nothing.
 *
 * @since 0.1.0
 */
import type { TlsError } from "@effect-nbd/core/TlsError"
import type { ConnectionEnd } from "@effect-nbd/core/Transport"
import type { TransportLostError } from "@effect-nbd/core/TransportError"
import type { ClientFlags, CommandFlags } from "@effect-nbd/core/wire/Flags"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import type { WireError } from "@effect-nbd/core/wire/WireError"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { Request } from "./session/Request.ts"

/**
 * The specification's name of a command without its prefix, or `UNKNOWN`.
 *
 * @since 0.1.0
 * @category models
 */
export type CommandName = keyof typeof commandCode | "UNKNOWN"

/**
 * One request as it arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecordedRequest {
  /** Sessions are numbered from 1 in the order of their opening. */
  readonly session: number
  readonly command: CommandName
  /** The command's number, for those without a name. */
  readonly code: number
  readonly flags: CommandFlags
  readonly cookie: bigint
  readonly offset: bigint
  /** Bytes of the export that it is about: exact up to 2^53, which clients with compact headers cannot exceed. */
  readonly length: number
  /** The meta contexts that a request for block status is limited to; `undefined` where it is for all. */
  readonly contextIds: ReadonlyArray<number> | undefined
}

/**
 * One option as it arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecordedOption {
  readonly session: number
  /** The option's code. */
  readonly option: number
  /** The specification's name, for example `NBD_OPT_GO`. */
  readonly name: string
  /** The data that came with it, cut at 8192 bytes. */
  readonly data: Uint8Array
  /** The export asked for, where the option names one. */
  readonly exportName: string | undefined
  /** What was asked of meta contexts, where the option asks for some: the first of it, 8192 characters at most. */
  readonly queries: ReadonlyArray<string> | undefined
  /** It came under TLS. */
  readonly encrypted: boolean
}

/**
 * Client flags as a client answered the greeting.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecordedClientFlags {
  readonly session: number
  readonly flags: ClientFlags
}

/**
 * A rule that a client broke. `fatal` ones ended its session, the others were answered with an error or put up with.
 *
 * @since 0.1.0
 * @category models
 */
export interface Violation {
  readonly session: number
  readonly expected: string
  readonly received: string
  /** Where the rule stands, for example `Client flags, S-007`. */
  readonly rule: string
  readonly fatal: boolean
}

/**
 * How a session came to its end.
 *
 * - `Disconnected`: by NBD_CMD_DISC.
 * - `Aborted`: by NBD_OPT_ABORT.
 * - `ClientLeft`: the client ended or broke the connection without saying so.
 * - `ExportRefused`: the server closed, the only way to refuse an NBD_OPT_EXPORT_NAME.
 * - `HandshakeTimedOut`: the client had not entered an export in time.
 * - `Displaced`: the client had not entered an export, and another one came that there was no place for.
 * - `TurnedAway`: the server had no place for the client.
 * - `TlsFailed`: the server had agreed to TLS, and it did not come about.
 * - `Misbehaved`: the server closed after a fatal violation.
 * - `ShutDown`: the server ended the session in order.
 * - `Stalled`: the client kept others waiting for memory, and the server broke the connection.
 * - `Killed`: the server broke the connection.
 * - `Died`: a handler of `onRequest`, a misbehaviour or another function that the server was given died, an assertion in it
 *   for example, or was interrupted, and the server broke the connection. The cause is logged too.
 *
 * @since 0.1.0
 * @category models
 */
export type Ending =
  | { readonly _tag: "Disconnected" }
  | { readonly _tag: "Aborted" }
  | { readonly _tag: "ClientLeft"; readonly end: ConnectionEnd }
  | { readonly _tag: "ExportRefused"; readonly exportName: string }
  | { readonly _tag: "HandshakeTimedOut" }
  | { readonly _tag: "Displaced" }
  | { readonly _tag: "TurnedAway" }
  | { readonly _tag: "TlsFailed"; readonly error: TlsError | TransportLostError }
  | { readonly _tag: "Misbehaved"; readonly violation: Violation }
  | { readonly _tag: "ShutDown" }
  | { readonly _tag: "Stalled" }
  | { readonly _tag: "Killed" }
  | { readonly _tag: "Died"; readonly cause: Cause.Cause<never> }

/**
 * @since 0.1.0
 * @category models
 */
export interface SessionEnd {
  readonly session: number
  readonly ending: Ending
}

class Ring<A> {
  /** How many were ever added. */
  count = 0
  private items: Array<A> = []
  private readonly capacity: number

  constructor(capacity: number) {
    this.capacity = capacity
  }

  add(item: A): void {
    this.count++
    this.items.push(item)
    if (this.items.length >= 2 * this.capacity) this.items = this.newest()
  }

  newest(): Array<A> {
    return this.items.slice(Math.max(0, this.items.length - this.capacity))
  }
}

const optionDataKept = 8192

/** As many of the texts as may be kept. */
const firstOf = (texts: ReadonlyArray<string>): ReadonlyArray<string> => {
  let length = 0
  const end = texts.findIndex((text) => (length += text.length + 1) > optionDataKept)
  return end === -1 ? texts : texts.slice(0, end)
}

const commandNames: ReadonlyMap<number, CommandName> = new Map(
  // `Object.entries` widens the keys of the table to string.
  Object.entries(commandCode).map(([name, code]) => [code, name as CommandName])
)

const commandName = (code: number): CommandName => commandNames.get(code) ?? "UNKNOWN"

/**
 * A request as it is remembered.
 *
 * @since 0.1.0
 * @category constructors
 */
export const recordedOf = (
  session: number,
  { command: code, contextIds, cookie, flags, length, offset }: Request
): RecordedRequest => ({
  session,
  command: commandName(code),
  code,
  flags,
  cookie,
  offset,
  length: Number(length),
  contextIds
})

/**
 * The memory of one fake server, shared by its sessions.
 *
 * @since 0.1.0
 * @category models
 */
export class Recorder {
  readonly requests: Ring<RecordedRequest>
  readonly options: Ring<RecordedOption>
  readonly clientFlags: Ring<RecordedClientFlags>
  readonly violations: Ring<Violation>
  readonly ends: Ring<SessionEnd>
  /** Sessions open now. */
  open = 0
  private opened = 0
  private readonly waiting = new Set<() => void>()

  /** `history` is how many entries each list keeps. */
  constructor(history: number) {
    this.requests = new Ring(history)
    this.options = new Ring(history)
    this.clientFlags = new Ring(history)
    this.violations = new Ring(history)
    this.ends = new Ring(history)
  }

  sessionOpened(): number {
    this.open++
    this.changed()
    return ++this.opened
  }

  /** The session's ending is known; its connection may still be open for a moment. */
  sessionEnded(session: number, ending: Ending): void {
    this.ends.add({ session, ending })
    this.changed()
  }

  sessionClosed(): void {
    this.open--
    this.changed()
  }

  flags(session: number, flags: ClientFlags): void {
    this.clientFlags.add({ session, flags })
    this.changed()
  }

  option(option: RecordedOption): void {
    const { data, queries } = option
    this.options.add({ ...option, data: data.slice(0, optionDataKept), queries: queries && firstOf(queries) })
    this.changed()
  }

  request(session: number, received: Request): RecordedRequest {
    const request = recordedOf(session, received)
    this.requests.add(request)
    this.changed()
    return request
  }

  violation(session: number, { expected, received, rule }: WireError, fatal: boolean): Violation {
    const violation = { session, expected, received, rule, fatal }
    this.violations.add(violation)
    this.changed()
    return violation
  }

  /** Waits until `look` finds something. */
  until<A>(look: () => A | undefined): Effect.Effect<A> {
    return Effect.async<A>((resume) => {
      const attempt = () => {
        const found = look()
        if (found === undefined) return
        this.waiting.delete(attempt)
        resume(Effect.succeed(found))
      }
      this.waiting.add(attempt)
      attempt()
      return Effect.sync(() => {
        this.waiting.delete(attempt)
      })
    })
  }

  /** Lets those who wait look again. */
  changed(): void {
    for (const attempt of this.waiting) attempt()
  }
}

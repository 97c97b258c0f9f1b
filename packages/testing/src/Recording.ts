/**
 * What the fake server remembers of its clients, for tests to look at and to wait for.
 *
 * Every list is a ring that keeps the newest entries only, so memory is bounded however long a server runs. It decides
 * nothing.
 *
 * @since 0.1.0
 */
import type { ClientFlags, CommandFlags } from "@effect-nbd/core/wire/Flags"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import type { Ending, Observer, ReceivedOption, Violation } from "@effect-nbd/server/Observer"
import type { Request } from "@effect-nbd/server/ServerRequest"
import * as Effect from "effect/Effect"

export {
  /**
   * @since 0.1.0
   * @category models
   */
  type Ending,
  /**
   * @since 0.1.0
   * @category models
   */
  type Violation
} from "@effect-nbd/server/Observer"

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
 * One option as it arrived: its data cut at 8192 bytes, and of its queries the first, 8192 characters at most.
 *
 * @since 0.1.0
 * @category models
 */
export type RecordedOption = ReceivedOption

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

/** What was made of a request already. */
const known = new WeakMap<Request, RecordedRequest>()

/**
 * A request as it is remembered: the same object each time.
 *
 * @since 0.1.0
 * @category constructors
 */
export const recordedOf = (session: number, request: Request): RecordedRequest => {
  const found = known.get(request)
  if (found !== undefined) return found
  const { command: code, contextIds, cookie, flags, length, offset } = request
  const recorded = {
    session,
    command: commandName(code),
    code,
    flags,
    cookie,
    offset,
    length: Number(length),
    contextIds
  }
  known.set(request, recorded)
  return recorded
}

/**
 * The memory of one fake server, shared by its sessions.
 *
 * @since 0.1.0
 * @category models
 */
export class Recorder implements Observer {
  readonly requests: Ring<RecordedRequest>
  readonly options: Ring<RecordedOption>
  readonly flags: Ring<RecordedClientFlags>
  readonly violations: Ring<Violation>
  readonly ends: Ring<SessionEnd>
  /** Sessions open now. */
  open = 0
  private readonly waiting = new Set<() => void>()

  /** `history` is how many entries each list keeps. */
  constructor(history: number) {
    this.requests = new Ring(history)
    this.options = new Ring(history)
    this.flags = new Ring(history)
    this.violations = new Ring(history)
    this.ends = new Ring(history)
  }

  readonly opened = (): void => {
    this.open++
    this.changed()
  }

  readonly ended = (session: number, ending: Ending): void => {
    this.ends.add({ session, ending })
    this.changed()
  }

  readonly closed = (): void => {
    this.open--
    this.changed()
  }

  readonly clientFlags = (session: number, flags: ClientFlags): void => {
    this.flags.add({ session, flags })
    this.changed()
  }

  readonly option = (option: ReceivedOption): void => {
    const { data, queries } = option
    this.options.add({ ...option, data: data.slice(0, optionDataKept), queries: queries && firstOf(queries) })
    this.changed()
  }

  readonly request = (session: number, request: Request): void => {
    this.requests.add(recordedOf(session, request))
    this.changed()
  }

  readonly violation = (violation: Violation): void => {
    this.violations.add(violation)
    this.changed()
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

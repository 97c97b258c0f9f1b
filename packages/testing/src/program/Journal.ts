/**
 * The account of one run: what was begun, what became of it, and what of that must not be.
 *
 * @since 0.1.0
 */
import type { Export } from "@effect-nbd/core/Export"
import type { StateTag } from "@effect-nbd/core/HandleState"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type { Request } from "../arbitraries/Requests.ts"
import type { Reference } from "./Reference.ts"
import { piecesOf, refusalOf, refusals } from "./Rules.ts"
import { showRequest } from "./Step.ts"
import type { SeenRequest } from "./Tap.ts"

/**
 * What is to be put up with, of the server and of the transport.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tolerance {
  /** Requests may be failed. */
  failures: boolean
  /** The connection may end: what waits for its turn is refused. */
  ends: boolean
  /** It may end under requests that were sent. */
  losses: boolean
}

/**
 * An operation of the run.
 *
 * @since 0.1.0
 * @category models
 */
export interface Started {
  readonly number: number
  readonly request: Request
  /** The handle's state when the operation began, if it did. */
  before: StateTag | undefined
  /** How many requests it may and must have sent. */
  sent: { readonly least: number; readonly most: number }
  settled: number
}

/**
 * How operations ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface Counts {
  succeeded: number
  /** By us: nothing was sent. */
  refused: number
  /** By the server. */
  failed: number
  lost: number
  interrupted: number
}

const unsent = { least: 0, most: 0 }

/**
 * @since 0.1.0
 * @category models
 */
export class Journal {
  readonly problems: Array<string> = []
  readonly counts: Counts = { succeeded: 0, refused: 0, failed: 0, lost: 0, interrupted: 0 }
  readonly started: Array<Started> = []
  readonly tolerance: Tolerance
  private readonly target: Export
  readonly disk: Reference

  constructor(target: Export, disk: Reference, tolerance: Tolerance) {
    this.target = target
    this.disk = disk
    this.tolerance = tolerance
  }

  start(request: Request): Started {
    const started = { number: this.started.length + 1, request, before: undefined, sent: unsent, settled: 0 }
    this.started.push(started)
    return started
  }

  /** What the operation writes, or may read into. */
  memoryOf({ number, request }: Started): Uint8Array {
    if (request.command === "write") return this.disk.payload(number, request)
    return new Uint8Array(request.command === "readInto" ? request.length : 0)
  }

  /** The operation is admitted or refused in this moment, and `before` is the state that says so. */
  began(started: Started, before: StateTag): void {
    started.before = before
    if (before === "Connected" && refusals(this.target, started.request).size === 0) {
      this.disk.begin(started.number, started.request)
    }
  }

  complain(started: Started, what: string): void {
    this.problems.push(`#${started.number} ${showRequest(started.request)}: ${what}`)
  }

  /** The operation has ended, with the bytes it read or without. */
  settle(
    started: Started,
    exit: Exit.Exit<ArrayLike<number | undefined> | undefined, { readonly _tag: string }>
  ): void {
    started.settled++
    if (started.settled > 1) this.complain(started, "it settled again")
    const { before, number, request } = started
    if (Exit.isSuccess(exit)) {
      this.counts.succeeded++
      const pieces = piecesOf(this.target, request).length
      started.sent = { least: pieces, most: pieces }
      this.disk.succeed(number)
      const reasons = [...refusals(this.target, request)]
      if (before !== "Connected") this.complain(started, `it succeeded in the state ${before}`)
      else if (reasons.length > 0) this.complain(started, `it succeeded, and had to fail with ${reasons.join(" or ")}`)
      const wrong = exit.value === undefined ? undefined : this.disk.judge(number, Number(request.offset), exit.value)
      if (wrong !== undefined) this.complain(started, wrong)
      return
    }
    const failure = Cause.failureOrCause(exit.cause)
    if (failure._tag === "Left") this.failed(started, failure.left)
    else if (Cause.isInterruptedOnly(exit.cause)) {
      this.counts.interrupted++
      started.sent = { least: 0, most: before === undefined ? 0 : 1 }
    } else this.complain(started, `a defect: ${Cause.pretty(exit.cause)}`)
  }

  private failed(started: Started, { _tag: tag }: { readonly _tag: string }): void {
    const { before, number, request } = started
    const reasons = refusals(this.target, request)
    const mustRefuse = before !== "Connected" || reasons.size > 0
    if (tag === "NbdCommandError") {
      this.counts.failed++
      started.sent = { least: 1, most: 1 }
      this.disk.fail(number)
      if (mustRefuse) this.complain(started, "it was sent, and must not have been")
      else if (!this.tolerance.failures) {
        this.complain(started, "the server failed it for no reason")
      }
    } else if (tag === "NbdCommandLostError") {
      this.counts.lost++
      started.sent = { least: 0, most: 1 }
      if (mustRefuse) this.complain(started, "it was sent, and must not have been")
      else if (!this.tolerance.losses) this.complain(started, "it was lost, and nothing had ended the connection")
    } else if (tag === "NbdReplyInvalidError") {
      this.counts.failed++
      started.sent = { least: 1, most: 1 }
      this.disk.fail(number)
      this.complain(started, "its reply made no sense")
    } else {
      this.counts.refused++
      this.disk.forget(number)
      this.refused(started, tag, reasons)
    }
  }

  private refused(started: Started, tag: string, reasons: ReadonlySet<string>): void {
    const { before } = started
    // The connection may end while a command waits for its turn, and what follows refuses it.
    const givenUp = this.tolerance.ends && (tag === refusalOf.ShutDown || tag === refusalOf.Dead)
    const expected = before === undefined || before === "Connected" ? [...reasons] : [refusalOf[before]]
    if (expected.includes(tag) || (before === "Connected" && reasons.size === 0 && givenUp)) return
    const wanted = expected.length === 0 ? "nothing forbids it" : `expected ${expected.join(" or ")}`
    this.complain(started, `it was refused with ${tag}, and ${wanted}`)
  }

  /** Compares what should have been sent with what was. */
  compare(seen: ReadonlyArray<SeenRequest>): void {
    const wanted = new Map<string, { least: number; most: number; readonly numbers: Array<string> }>()
    const entry = (key: string) => {
      const found = wanted.get(key) ?? { least: 0, most: 0, numbers: [] }
      wanted.set(key, found)
      return found
    }
    for (const { number, request, sent } of this.started) {
      piecesOf(this.target, request).forEach((piece, at) => {
        const found = entry(keyOf(codes[piece.command], piece.offset, piece.length))
        // The first one that fails is the last one that is sent.
        found.least += at === 0 || sent.least > 1 ? Math.min(sent.least, 1) : 0
        found.most += Math.min(sent.most, 1)
        found.numbers.push(`#${number}`)
      })
    }
    const counted = new Map<string, number>()
    for (const { command, length, offset } of seen) {
      const key = keyOf(command, offset, length)
      counted.set(key, (counted.get(key) ?? 0) + 1)
    }
    for (const [key, count] of counted) {
      const { most, numbers } = entry(key)
      if (count > most) this.problems.push(`${key} was sent ${count} times, by right ${most} (${numbers.join(", ")})`)
    }
    for (const [key, { least, numbers }] of wanted) {
      const count = counted.get(key) ?? 0
      if (count < least) {
        this.problems.push(`${key} was sent ${count} times, and answered ${least} (${numbers.join(", ")})`)
      }
    }
  }
}

const codes: Readonly<Record<Request["command"], number>> = {
  read: commandCode.READ,
  readInto: commandCode.READ,
  readBorrowed: commandCode.READ,
  write: commandCode.WRITE,
  trim: commandCode.TRIM,
  writeZeroes: commandCode.WRITE_ZEROES,
  cache: commandCode.CACHE,
  blockStatus: commandCode.BLOCK_STATUS,
  flush: commandCode.FLUSH
}

const names = new Map<number, string>(Object.entries(commandCode).map(([name, code]) => [code, name]))

const keyOf = (command: number, offset: bigint, length: number): string =>
  `${names.get(command) ?? command} ${offset} +${length}`

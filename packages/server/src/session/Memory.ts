/**
 * The memory for payload that the sessions of one server share: who may have how much of it, and for how long.
 *
 * It counts and allocates nothing. What is counted is what a WRITE brings, from before it is read until a disk has taken it,
 * and what a reply to a READ or BLOCK_STATUS brings, from before it is made until its client has taken it.
 *
 * - Each session has 1 MiB of its own, which no other session can use. So a request that is not longer than that waits
 *   only for earlier requests of the same session.
 * - Everything else comes from the shared memory, which is smaller if there are more sessions, but at least 64 MiB. A
 *   request that is longer than all of it may use all of it. One session has at most 64 MiB in each direction.
 * - A session without shared memory comes before sessions that have some, and a shorter request before a longer one. No
 *   request is overtaken more than 64 times.
 * - While a session waits, sessions that have shared memory and whose clients have stalled are ended until there is
 *   enough memory. Those that stalled first are ended first: see session/Stalling.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { maxPayload } from "../ServerRequest.ts"
import { type Direction, Progress } from "./Stalling.ts"

/**
 * Bytes that each session has beside the shared memory.
 *
 * @since 0.1.0
 * @category constants
 */
export const ownMemory = 1_048_576

/** How often a waiting request may be overtaken. */
const mostOvertaken = 64

/**
 * The limits, in milliseconds, of the pause before the waiting sessions look for stalled clients again. Within these
 * limits, the pause ends when the next client can have stalled.
 */
const shortestPause = 50
const longestPause = 500

/**
 * Bytes that were lent, to be given back once.
 *
 * @since 0.1.0
 * @category models
 */
export interface Loan {
  readonly direction: Direction
  readonly own: number
  readonly shared: number
}

interface Waiting {
  readonly account: Account
  readonly direction: Direction
  readonly bytes: number
  overtaken: number
  readonly resume: (loan: Loan) => void
}

/**
 * @since 0.1.0
 * @category models
 */
export class Memory {
  /** Bytes that all sessions together may have, including each session's own memory. */
  readonly size: number
  /** Bytes of the shared memory that are in use now. */
  private taken = 0
  private readonly accounts = new Set<Account>()
  /** The accounts that have some of the shared memory. */
  private readonly debtors = new Set<Account>()
  /** In order of arrival. */
  private readonly waiting = new Set<Waiting>()
  private readonly watch = Effect.unsafeMakeSemaphore(1)

  constructor(size: number) {
    this.size = size
  }

  /** Bytes that are lent now, the sessions' own among them. */
  get lent(): number {
    let own = 0
    for (const account of this.accounts) own += account.ownTaken
    return this.taken + own
  }

  /**
   * The largest part of the shared memory that one request can have. If there are many sessions, this is also the whole
   * shared memory.
   */
  get longest(): number {
    return Math.min(this.size, maxPayload)
  }

  /** The account of a new session; `evict` ends the session. */
  open(evict: () => void): Account {
    const account = new Account(this, evict)
    this.accounts.add(account)
    return account
  }

  /** Gives back all that the session has, whatever has become of its loans. */
  close(account: Account): void {
    this.accounts.delete(account)
    for (const each of this.waiting) {
      if (each.account === account) this.waiting.delete(each)
    }
    this.giveBack(account, account.sharedTaken)
  }

  /** Ends when the account has got the bytes: shared memory, or its own memory if that is free first. */
  borrow(account: Account, direction: Direction, bytes: number): Effect.Effect<Loan> {
    return Effect.suspend(() => {
      if (this.waiting.size === 0 && bytes <= this.free) return Effect.succeed(this.lend(account, direction, bytes))
      const served = Effect.async<Loan>((resume) => {
        const waiting: Waiting = {
          account,
          direction,
          bytes,
          overtaken: 0,
          resume: (loan) => resume(Effect.succeed(loan))
        }
        this.waiting.add(waiting)
        return Effect.sync(() => {
          this.waiting.delete(waiting)
          this.serveWaiting()
        })
      })
      return Effect.raceFirst(served, this.watching)
    })
  }

  giveBack(account: Account, bytes: number): void {
    account.sharedTaken -= bytes
    this.taken -= bytes
    if (account.sharedTaken === 0) this.debtors.delete(account)
    this.serveWaiting()
  }

  /** All or some of the session's own memory has become free. */
  serveFromOwn(account: Account): void {
    for (const waiting of this.waiting) {
      if (waiting.account !== account || waiting.bytes > account.ownFree) continue
      this.waiting.delete(waiting)
      waiting.resume(account.lendOwn(waiting.direction, waiting.bytes))
    }
    this.serveWaiting()
  }

  private get free(): number {
    return Math.max(this.longest, this.size - ownMemory * this.accounts.size) - this.taken
  }

  private lend(account: Account, direction: Direction, shared: number): Loan {
    account.sharedTaken += shared
    this.taken += shared
    this.debtors.add(account)
    return { direction, own: 0, shared }
  }

  private serveWaiting(): void {
    for (let next = this.next; next !== undefined && next.bytes <= this.free; next = this.next) {
      for (const waiting of this.waiting) {
        if (waiting === next) break
        waiting.overtaken += 1
      }
      this.waiting.delete(next)
      next.resume(this.lend(next.account, next.direction, next.bytes))
    }
  }

  private get next(): Waiting | undefined {
    let first: Waiting | undefined
    for (const waiting of this.waiting) {
      if (waiting.overtaken >= mostOvertaken) return waiting
      if (first === undefined || isBefore(waiting, first)) first = waiting
    }
    return first
  }

  /**
   * Ends stalled sessions until the others can have the memory that they wait for. One of the waiting fibers runs this.
   */
  private get watching(): Effect.Effect<never> {
    const look = Effect.flatMap(Clock.currentTimeMillis, (now) => {
      let next = now + longestPause
      let missing = -this.free
      for (const { bytes } of this.waiting) missing += bytes
      const stalled: Array<readonly [since: number, Account]> = []
      for (const account of this.debtors) {
        const { stallsAt } = account.progress
        if (account.isLeaving) missing -= account.sharedTaken
        else if (stallsAt !== undefined && stallsAt <= now) stalled.push([stallsAt, account])
        else next = Math.min(next, stallsAt ?? next)
      }
      stalled.sort(([a], [b]) => a - b)
      for (const [, account] of stalled) {
        if (missing <= 0) break
        missing -= account.sharedTaken
        account.isLeaving = true
        account.evict()
      }
      return Effect.sleep(Math.max(shortestPause, next - now))
    })
    return this.watch.withPermits(1)(Effect.forever(look))
  }
}

const isBefore = (a: Waiting, b: Waiting): boolean => {
  const [aHasNone, bHasNone] = [a.account.sharedTaken === 0, b.account.sharedTaken === 0]
  return aHasNone === bHasNone ? a.bytes < b.bytes : aHasNone
}

/**
 * The part of the memory that one session has.
 *
 * @since 0.1.0
 * @category models
 */
export class Account {
  /** Bytes of the shared memory that the session has. */
  sharedTaken = 0
  /** Bytes of its own that it has in use. */
  ownTaken = 0
  /** The session was ended to free its memory. */
  isLeaving = false
  readonly progress = new Progress()
  readonly evict: () => void
  private readonly memory: Memory
  private readonly limits = {
    Incoming: Effect.unsafeMakeSemaphore(maxPayload),
    Outgoing: Effect.unsafeMakeSemaphore(maxPayload)
  }

  constructor(memory: Memory, evict: () => void) {
    this.memory = memory
    this.evict = evict
  }

  get ownFree(): number {
    return ownMemory - this.ownTaken
  }

  /** Waits until so many bytes can be had, 64 MiB at most. They are to be given back, or go with the account. */
  take(direction: Direction, bytes: number): Effect.Effect<Loan> {
    return Effect.suspend(() => {
      if (bytes <= this.ownFree) return Effect.succeed(this.lendOwn(direction, bytes))
      const limit = this.limits[direction]
      const asked = Math.min(bytes, this.memory.longest)
      return limit.take(asked).pipe(
        Effect.zipRight(this.memory.borrow(this, direction, asked)),
        Effect.tap(({ shared }) => shared === 0 ? limit.release(asked) : Effect.void)
      )
    })
  }

  /** This number of bytes must be free. */
  lendOwn(direction: Direction, own: number): Loan {
    this.ownTaken += own
    return { direction, own, shared: 0 }
  }

  giveBack({ direction, own, shared }: Loan): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (own > 0) {
        this.ownTaken -= own
        this.memory.serveFromOwn(this)
      }
      if (shared === 0) return Effect.void
      this.memory.giveBack(this, shared)
      return Effect.asVoid(this.limits[direction].release(shared))
    })
  }
}

/**
 * The memory for payload that the sessions of one server share: who may have how much of it, and for how long.
 *
 * It counts and allocates nothing. What is counted is what a WRITE brings, from before it is read until a disk has taken it,
 * and what a reply to a READ or BLOCK_STATUS brings, from before it is made until its client has taken it.
 *
 * - A session has 256 KiB of its own beside the shared memory. What fits into that waits for nobody.
 * - Everything else comes from the shared memory. First come is first served, but a session that has none of it comes before
 *   those that have some. What is longer than all of it may have all of it. Of one session there are 64 MiB at most in each
 *   direction.
 * - While somebody waits, nobody may keep others waiting: a session that has shared memory, and whose client has neither
 *   sent the whole of a payload nor taken the whole of a reply in 10 seconds of that wait, is ended.
 *
 * So clients that stall can take up all of the shared memory, but keep it for 10 seconds each when others want it, and
 * hold up no small requests meanwhile.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { maxPayload } from "./Request.ts"

/**
 * Bytes that each session has beside the shared memory.
 *
 * @since 0.1.0
 * @category constants
 */
export const ownMemory = 262_144

/** Seconds that a client may take over one payload while others wait for the memory. */
const patience = 10

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

/**
 * What payload is for: WRITEs, or replies.
 *
 * @since 0.1.0
 * @category models
 */
export type Direction = "Incoming" | "Outgoing"

interface Waiting {
  readonly account: Account
  readonly bytes: number
  readonly resume: () => void
}

/**
 * @since 0.1.0
 * @category models
 */
export class Memory {
  /** Bytes that the sessions may share. */
  readonly size: number
  /** Those that have some of the shared memory. */
  readonly debtors = new Set<Account>()
  private taken = 0
  private readonly accounts = new Set<Account>()
  /** In order of arrival. */
  private readonly waiting = new Set<Waiting>()

  constructor(size: number) {
    this.size = size
  }

  /** Bytes that are lent now, the sessions' own among them. */
  get lent(): number {
    let own = 0
    for (const account of this.accounts) own += account.ownTaken
    return this.taken + own
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
    this.debtors.delete(account)
    for (const each of this.waiting) {
      if (each.account === account) this.waiting.delete(each)
    }
    this.giveBack(account, account.sharedTaken)
  }

  /** Is done when the account has been lent the bytes. */
  borrow(account: Account, bytes: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.waiting.size === 0 && this.fits(bytes)) {
        this.lend(account, bytes)
        return Effect.void
      }
      const served = Effect.async<void>((resume) => {
        const waiting: Waiting = { account, bytes, resume: () => resume(Effect.void) }
        this.waiting.add(waiting)
        return Effect.sync(() => {
          this.waiting.delete(waiting)
          this.serveWaiting()
        })
      })
      return Effect.raceFirst(served, this.evictions)
    })
  }

  giveBack(account: Account, bytes: number): void {
    account.sharedTaken -= bytes
    this.taken -= bytes
    if (account.sharedTaken === 0) this.debtors.delete(account)
    this.serveWaiting()
  }

  private fits(bytes: number): boolean {
    return this.taken + bytes <= this.size
  }

  private lend(account: Account, bytes: number): void {
    account.sharedTaken += bytes
    this.taken += bytes
    this.debtors.add(account)
  }

  private serveWaiting(): void {
    for (let next = this.next; next !== undefined && this.fits(next.bytes); next = this.next) {
      this.waiting.delete(next)
      this.lend(next.account, next.bytes)
      next.resume()
    }
  }

  private get next(): Waiting | undefined {
    let first: Waiting | undefined
    for (const waiting of this.waiting) {
      if (waiting.account.sharedTaken === 0) return waiting
      first ??= waiting
    }
    return first
  }

  /** Ends whoever keeps others waiting; it looks once a second. */
  private get evictions(): Effect.Effect<never> {
    return Effect.suspend(() => {
      const watched = new Map<Account, { readonly due: Due; seconds: number }>()
      const look = Effect.sync(() => {
        for (const account of this.debtors) {
          const before = watched.get(account)
          if (before === undefined || !account.isStillDue(before.due)) {
            watched.set(account, { due: account.due, seconds: 0 })
          } else if (++before.seconds === patience) account.evict()
        }
      })
      return Effect.forever(Effect.zipRight(look, Effect.sleep("1 second")))
    })
  }
}

/** Which payload a client is waited for in each direction, by number; 0 for none. */
type Due = Readonly<Record<Direction, number>>

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
  readonly evict: () => void
  private readonly memory: Memory
  private readonly limits = {
    Incoming: Effect.unsafeMakeSemaphore(maxPayload),
    Outgoing: Effect.unsafeMakeSemaphore(maxPayload)
  }
  private readonly current: Record<Direction, number> = { Incoming: 0, Outgoing: 0 }
  private payloads = 0

  constructor(memory: Memory, evict: () => void) {
    this.memory = memory
    this.evict = evict
  }

  /** Waits until so many bytes can be had, 64 MiB at most. They are to be given back, or go with the account. */
  take(direction: Direction, bytes: number): Effect.Effect<Loan> {
    return Effect.suspend(() => {
      if (bytes <= ownMemory - this.ownTaken) {
        this.ownTaken += bytes
        return Effect.succeed<Loan>({ direction, own: bytes, shared: 0 })
      }
      const shared = Math.min(bytes, maxPayload, this.memory.size)
      return this.limits[direction].take(shared).pipe(
        Effect.zipRight(this.memory.borrow(this, shared)),
        Effect.as<Loan>({ direction, own: 0, shared })
      )
    })
  }

  giveBack({ direction, own, shared }: Loan): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.ownTaken -= own
      if (shared === 0) return Effect.void
      this.memory.giveBack(this, shared)
      return Effect.asVoid(this.limits[direction].release(shared))
    })
  }

  /** While it runs, it is the client that is waited for. It is interrupted only with the session. */
  whileDue<A, E>(direction: Direction, effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.suspend(() => {
      this.payloads += 1
      this.current[direction] = this.payloads
      return Effect.map(effect, (result) => {
        this.current[direction] = 0
        return result
      })
    })
  }

  get due(): Due {
    return { ...this.current }
  }

  /** One of the payloads that were due then still is. */
  isStillDue({ Incoming, Outgoing }: Due): boolean {
    return Incoming !== 0 && Incoming === this.current.Incoming || Outgoing !== 0 && Outgoing === this.current.Outgoing
  }
}

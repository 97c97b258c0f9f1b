/** Looks on while a case runs: at fibers, and at what receivers throw; and turns the clock. */
import type { Connection, Transport } from "@effect-nbd/core/Transport"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Supervisor from "effect/Supervisor"
import { inspect } from "node:util"

/** Time that passes when it is told to. */
class ManualClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  private now = 0
  private readonly sleeping = new Set<{ readonly until: number; readonly wake: () => void }>()

  readonly currentTimeMillis = Effect.sync(() => this.now)
  readonly currentTimeNanos = Effect.sync(() => this.unsafeCurrentTimeNanos())

  unsafeCurrentTimeMillis(): number {
    return this.now
  }
  unsafeCurrentTimeNanos(): bigint {
    return BigInt(Math.floor(this.now)) * 1_000_000n
  }
  get waiting(): number {
    return this.sleeping.size
  }
  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.async((resume) => {
      const sleeper = { until: this.now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
      this.sleeping.add(sleeper)
      return Effect.sync(() => {
        this.sleeping.delete(sleeper)
      })
    })
  }
  pass(milliseconds: number): void {
    this.now += milliseconds
    for (const sleeper of this.sleeping) {
      if (sleeper.until > this.now) continue
      this.sleeping.delete(sleeper)
      sleeper.wake()
    }
  }
}

/** Everything that can run has run once the event loop comes round. */
const turn = (): Promise<void> => new Promise((resume) => setImmediate(resume))
const longTurn = (): Promise<void> => new Promise((resume) => setTimeout(resume, 1))

/** The same for a script. */
export const turns = (count: number): Effect.Effect<void> =>
  Effect.promise(async () => {
    for (let left = count; left > 0; left--) await turn()
  })

export class Watch extends Supervisor.AbstractSupervisor<void> {
  readonly clock = new ManualClock()
  /** What went wrong: nothing of it may ever happen. */
  readonly faults: Array<string> = []
  /** Something happened since the last look. */
  progress = 0
  /** The peer has ended: nothing may wait any more. */
  peerEnded = false
  /** Whatever waits has a time limit of its own: a few minutes must be enough. */
  isTimed = false
  readonly value = Effect.void
  /** What a server has survived it writes to the log, which is this here. */
  private readonly logger = Logger.make(({ cause }) => this.judgeCause(cause))
  private readonly alive = new Set<Fiber.RuntimeFiber<unknown, unknown>>()

  override onStart(
    _context: unknown,
    _effect: unknown,
    _parent: unknown,
    fiber: Fiber.RuntimeFiber<unknown, unknown>
  ): void {
    this.alive.add(fiber)
  }
  override onEnd(exit: Exit.Exit<unknown, unknown>, fiber: Fiber.RuntimeFiber<unknown, unknown>): void {
    this.alive.delete(fiber)
    this.judge(exit)
  }

  /** A defect is a fault, wherever it is. */
  judge(exit: Exit.Exit<unknown, unknown>): void {
    if (Exit.isSuccess(exit)) return
    this.judgeCause(exit.cause)
  }

  private judgeCause(cause: Cause.Cause<unknown>): void {
    for (const defect of Cause.defects(cause)) this.fault("defect", defect)
  }

  fault(what: string, thrown?: unknown): void {
    const why = thrown instanceof Error
      ? `: ${thrown.stack ?? thrown.message}`
      : thrown === undefined
      ? ""
      : `: ${inspect(thrown)}`
    this.faults.push(`${what}${why}`)
  }

  /** The same transport, whose connections are looked at. */
  over(transport: Context.Tag.Service<Transport>): Context.Tag.Service<Transport> {
    return { ...transport, open: Effect.map(transport.open, (connection) => this.guarded(connection)) }
  }

  private guarded(connection: Connection): Connection {
    const attempt = <A>(what: string, call: () => A, otherwise: A): A => {
      this.progress++
      try {
        return call()
      } catch (thrown) {
        this.fault(`${what} threw`, thrown)
        return otherwise
      }
    }
    return {
      ...connection,
      receive: (receiver) =>
        connection.receive({
          onBytes: (bytes) => attempt("onBytes", () => receiver.onBytes(bytes), true),
          onEnd: (end) => attempt("onEnd", () => receiver.onEnd(end), undefined),
          onDrain: () => attempt("onDrain", () => receiver.onDrain(), undefined)
        }),
      prepareTls: (settings) =>
        Effect.map(
          connection.prepareTls?.(settings) ?? Effect.never,
          (upgrade) => Effect.map(upgrade, (inside) => this.guarded(inside))
        )
    }
  }

  /**
   * Runs it to its end: everything is let run that can, then time passes, then it is interrupted, and must be over.
   * Where the peer has ended, neither may be needed.
   */
  async settle<A, E>(effect: Effect.Effect<A, E>): Promise<Exit.Exit<A, E> | undefined> {
    const fiber = Effect.runFork(effect.pipe(
      Effect.locally(FiberRef.currentLoggers, HashSet.make(this.logger)),
      Effect.withClock(this.clock),
      Effect.supervised(this)
    ))
    for (let round = 0; round < 8; round++) {
      const exit = await this.idle(() => Option.fromNullable(fiber.unsafePoll()))
      if (Option.isSome(exit)) {
        this.judge(exit.value)
        await this.idle(() => this.alive.size === 0 ? Option.some(true) : Option.none())
        if (this.alive.size > 0) this.fault("fibers are left")
        if (this.clock.waiting > 0) this.fault("timers are left")
        return exit.value
      }
      if (round < 6) this.clock.pass(60_000)
      else {
        if (this.peerEnded) this.fault("it waits for a peer that has ended")
        if (this.isTimed) this.fault("it waits beyond every time limit")
        fiber.unsafeInterruptAsFork(FiberId.none)
      }
    }
    this.fault("it does not end when it is interrupted")
    return undefined
  }

  /** Waits until there is an answer, or nothing happens any more. */
  private async idle<A>(look: () => Option.Option<A>): Promise<Option.Option<A>> {
    let seen = this.progress
    for (let quiet = 0; quiet < 12;) {
      const found = look()
      if (Option.isSome(found)) return found
      // A scheduler that has run for long goes on after a timer.
      await (quiet < 8 ? turn() : longTurn())
      quiet = seen === this.progress ? quiet + 1 : 0
      seen = this.progress
    }
    return look()
  }
}

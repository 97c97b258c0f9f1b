/**
 * Things to do after a while, in order, on a clock of Effect's.
 *
 * At most one fiber sleeps at a time, and none once there is nothing left to do.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"

/**
 * @since 0.1.0
 * @category models
 */
export class Postponement {
  private readonly clock: Clock.Clock
  private readonly millis: number
  private waiting: Array<{ readonly due: number; readonly act: () => void }> = []
  private sleeper: Fiber.RuntimeFiber<void> | undefined

  constructor(clock: Clock.Clock, delay: Duration.Duration) {
    this.clock = clock
    this.millis = Duration.toMillis(delay)
  }

  /** Does this when the delay is over. */
  after(act: () => void): void {
    this.waiting.push({ due: this.clock.unsafeCurrentTimeMillis() + this.millis, act })
    this.sleep()
  }

  /** Forgets what was to be done. */
  stop(): void {
    this.waiting = []
    this.sleeper?.unsafeInterruptAsFork(FiberId.none)
    this.sleeper = undefined
  }

  private sleep(): void {
    const [next] = this.waiting
    if (this.sleeper !== undefined || next === undefined) return
    const left = Math.max(0, next.due - this.clock.unsafeCurrentTimeMillis())
    this.sleeper = Effect.runFork(
      Effect.zipRight(this.clock.sleep(Duration.millis(left)), Effect.sync(() => this.wake()))
    )
  }

  private wake(): void {
    this.sleeper = undefined
    const now = this.clock.unsafeCurrentTimeMillis()
    while (this.waiting[0] !== undefined && this.waiting[0].due <= now) this.waiting.shift()?.act()
    this.sleep()
  }
}

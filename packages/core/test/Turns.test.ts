/**
 * Whose turn it is, whenever somebody stops waiting for his: at every single step of the fiber that does.
 */
import { Turns } from "@effect-nbd/core/handle/Channel"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type { Scheduler, Task } from "effect/Scheduler"
import { drive } from "./fixtures/Drive.ts"

/** Runs when told to, and stops one fiber between two of its steps, the one after `count` others. */
class StopsAfter implements Scheduler {
  private readonly tasks: Array<Task> = []
  private readonly count: number
  private steps = 0
  /** Whose steps count. */
  watched: Fiber.RuntimeFiber<unknown, unknown> | undefined

  constructor(count: number) {
    this.count = count
  }

  get hasStopped(): boolean {
    return this.steps > this.count
  }
  shouldYield(fiber: Fiber.RuntimeFiber<unknown, unknown>): number | false {
    if (fiber !== this.watched) return false
    this.steps += 1
    return this.steps === this.count + 1 ? 0 : false
  }
  scheduleTask(task: Task): void {
    this.tasks.push(task)
  }
  run(until: () => boolean = () => false): void {
    while (!until()) {
      const task = this.tasks.shift()
      if (task === undefined) return
      task()
    }
  }
}

/** As an option waits for its turn: it takes its place, and leaves it whatever happens. */
const inTurn = <A>(turns: Turns, body: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      const turn = turns.enter()
      const leave = Effect.sync(turn.leave)
      return restore(turn.comes).pipe(
        Effect.onError(() => leave),
        Effect.zipRight(Effect.ensuring(restore(body), leave))
      )
    })
  )

describe("turns", () => {
  it("come in the order of asking, one at a time", () => {
    const turns = new Turns()
    const [first, second, third] = [turns.enter(), turns.enter(), turns.enter()]
    const waiting = [first, second, third].map(({ comes }) => drive(comes))
    const come = () => waiting.map((each) => each.outcome()._tag === "Succeeded")
    expect(come()).toStrictEqual([true, false, false])
    // Somebody who leaves in the middle does not count any more.
    second.leave()
    expect(come()).toStrictEqual([true, false, false])
    first.leave()
    expect(come()).toStrictEqual([true, false, true])
    first.leave()
    const last = turns.enter()
    const late = drive(last.comes)
    expect(late.outcome()._tag).toBe("Waiting")
    third.leave()
    expect(late.outcome()._tag).toBe("Succeeded")
  })

  it("pass on from whoever is interrupted, in whatever moment, that of being given his among them", () => {
    const outcomes = new Set<string>()
    for (let count = 0; count < 100; count++) {
      const scheduler = new StopsAfter(count)
      const turns = new Turns()
      const held = turns.enter()
      const ran: Array<string> = []
      const run = (name: string) => Effect.runFork(inTurn(turns, Effect.sync(() => ran.push(name))), { scheduler })
      const second = run("second")
      const third = run("third")
      scheduler.run()
      scheduler.watched = second
      held.leave()
      scheduler.run(() => scheduler.hasStopped)
      second.unsafeInterruptAsFork(FiberId.none)
      scheduler.run()
      expect(third.unsafePoll(), `interrupted after ${count} steps`).toMatchObject({ _tag: "Success" })
      outcomes.add(`${scheduler.hasStopped ? "stopped" : "too late"}, ${ran.join()}`)
    }
    expect(outcomes).toStrictEqual(new Set(["stopped, third", "stopped, second,third", "too late, second,third"]))
  })
})

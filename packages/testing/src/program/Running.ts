/**
 * The steps of a program, one after the other, and the end that every program comes to.
 *
 * @since 0.1.0
 */
import type { Connected } from "@effect-nbd/core/Handle"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Request } from "../arbitraries/Requests.ts"
import type { Faults } from "./Faults.ts"
import type { Journal, Started } from "./Journal.ts"
import { contentOf, type Outcome, perform } from "./Perform.ts"
import type { Fault, Step } from "./Step.ts"
import type { Tap } from "./Tap.ts"

/**
 * What a run has to know of the server and the transport. Everything has a default.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunOptions {
  /** The server's default export by default. Its content is lost. */
  readonly exportName?: string
  /** Has the server do wrong, where the program says so; a program with faults needs it. */
  readonly faults?: Faults
  /** The server may fail requests without being told to; `false` by default. */
  readonly failures?: boolean
  /**
   * What may happen to the connection unasked: nothing (`Reliable`, the default), it may end at any time (`MayEnd`), or
   * also go silent (`MayStall`).
   */
  readonly connection?: "Reliable" | "MayEnd" | "MayStall"
  /** How long an answer may take before it counts as never given; 5 seconds by default. */
  readonly patience?: Duration.DurationInput
  /** One turn of `yield`; `Effect.yieldNow()` by default. Over a socket, where more has to happen, a millisecond. */
  readonly turn?: Effect.Effect<void>
}

/**
 * How long an answer may take, where nothing else is said.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultPatience: Duration.Duration = Duration.seconds(5)

interface Operation {
  readonly started: Started
  readonly fiber: Fiber.RuntimeFiber<Exit.Exit<Outcome, { readonly _tag: string }>>
  /** What it wrote or read into. */
  readonly memory: Uint8Array
  /** What was in it when it was interrupted. */
  left: Uint8Array | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export class Running {
  /** Requests that the program's operations have sent. */
  requests = 0
  private readonly handle: Connected
  private readonly journal: Journal
  private readonly known: number
  private readonly options: RunOptions
  private readonly scope: Scope.CloseableScope
  private readonly tap: Tap
  private readonly patience: Duration.Duration
  private readonly turn: Effect.Effect<void>
  private readonly operations: Array<Operation> = []
  private readonly shutdowns: Array<Fiber.RuntimeFiber<void>> = []
  private isHolding = false

  constructor(parts: {
    readonly handle: Connected
    readonly journal: Journal
    /** Bytes of the export whose content is known. */
    readonly known: number
    readonly options: RunOptions
    readonly scope: Scope.CloseableScope
    readonly tap: Tap
  }) {
    this.handle = parts.handle
    this.journal = parts.journal
    this.known = parts.known
    this.options = parts.options
    this.scope = parts.scope
    this.tap = parts.tap
    this.patience = Duration.decode(parts.options.patience ?? defaultPatience)
    this.turn = parts.options.turn ?? Effect.yieldNow()
  }

  step(step: Step): Effect.Effect<void> {
    switch (step._tag) {
      case "Start":
        return this.start(step.request)
      case "Await":
        return this.wait(step.operation)
      case "Interrupt":
        return this.interrupt(step.operation)
      case "Yield":
        return Effect.repeatN(this.turn, step.turns - 1)
      case "Shutdown":
        return this.shutdown
      case "Close":
        return this.close
      case "Fault":
        return this.fault(step.fault)
    }
  }

  private start(request: Request): Effect.Effect<void> {
    return Effect.suspend(() => {
      const started = this.journal.start(request)
      const memory = this.journal.memoryOf(started)
      const operation = Effect.flatMap(this.handle.state, ({ _tag }) => {
        // In the same step as the admission that follows.
        this.journal.began(started, _tag)
        return perform(this.handle, request, memory)
      }).pipe(
        Effect.onExit((exit) => Effect.sync(() => this.journal.settle(started, exit))),
        Effect.exit
      )
      return Effect.map(Effect.fork(operation), (fiber) => {
        this.operations.push({ started, fiber, memory, left: undefined })
      })
    })
  }

  private wait(number: number): Effect.Effect<void> {
    const operation = this.operations[number - 1]
    if (operation === undefined) return Effect.void
    return this.isHolding || this.options.connection === "MayStall"
      ? Effect.repeatN(this.turn, 20)
      : Effect.asVoid(Effect.timeoutOption(Fiber.await(operation.fiber), this.patience))
  }

  private interrupt(number: number): Effect.Effect<void> {
    const operation = this.operations[number - 1]
    if (operation === undefined) return Effect.void
    return Effect.map(Fiber.interrupt(operation.fiber), () => {
      if (operation.started.request.command === "readInto") operation.left ??= operation.memory.slice()
    })
  }

  private get shutdown(): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      this.journal.tolerance.ends = true
      this.shutdowns.push(yield* Effect.fork(Effect.ignore(this.handle.shutdown)))
      yield* Effect.yieldNow()
      const { _tag } = yield* this.handle.state
      if (_tag === "Connected") this.journal.problems.push("shutdown: the handle is still Connected")
    })
  }

  private get close(): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      this.allowEnd()
      const closed = yield* Effect.timeoutOption(Scope.close(this.scope, Exit.void), this.patience)
      if (Option.isNone(closed)) this.journal.problems.push("close: it does not come to an end")
      const { _tag } = yield* this.handle.state
      if (_tag !== "ShutDown" && _tag !== "Dead") this.journal.problems.push(`close: the handle is ${_tag}`)
    })
  }

  private allowEnd(): void {
    this.journal.tolerance.ends = true
    this.journal.tolerance.losses = true
  }

  private fault(fault: Fault): Effect.Effect<void> {
    const { faults } = this.options
    if (faults === undefined) return Effect.dieMessage("the program has faults, and nothing to inject them with")
    if (fault._tag === "Hold") this.isHolding = true
    else if (fault._tag === "Release") this.isHolding = false
    else if (fault._tag === "Fail") {
      this.journal.tolerance.failures = true
      if (fault.errno === "ESHUTDOWN") this.journal.tolerance.ends = true
    } else if (fault._tag !== "Delay") {
      this.journal.tolerance.failures = true
      this.allowEnd()
    }
    return faults.inject(fault)
  }

  /** Lets everything come to its end, looks at what is left, and gives the state before the scope was closed. */
  get end(): Effect.Effect<"Connected" | "ShutDown" | "Dead"> {
    return Effect.gen(this, function*() {
      yield* this.options.faults?.clear ?? Effect.void
      const mayStall = this.options.connection === "MayStall"
      if (mayStall) yield* Effect.repeatN(this.turn, 50)
      else yield* this.settled
      const { _tag } = yield* this.handle.state
      const state = _tag === "Connected" || _tag === "ShutDown" ? _tag : "Dead"
      if (state !== "Connected" && !this.journal.tolerance.ends) {
        this.journal.problems.push(`the handle is ${state} at the end, and nothing had ended it`)
      }
      if (state === "Connected" && !mayStall) yield* this.atRest
      else if (!mayStall) this.compare()
      yield* this.close
      if (mayStall) {
        yield* this.settled
        this.compare()
      }
      for (const { left, memory, started } of this.operations) {
        if (left?.some((byte, index) => memory[index] !== byte) === true) {
          this.journal.complain(started, "its memory was written to after it was interrupted")
        }
      }
      return state
    })
  }

  /** Every operation has ended, once. */
  private get settled(): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      const all = Effect.zipRight(
        Effect.forEach(this.operations, ({ fiber }) => Fiber.await(fiber), { discard: true }),
        Effect.forEach(this.shutdowns, (fiber) => Fiber.await(fiber), { discard: true })
      )
      yield* Effect.timeoutOption(all, this.patience)
      for (const { fiber, started } of this.operations) {
        const exit = yield* Fiber.poll(fiber)
        // One that was interrupted before its first step never ran its finalizer.
        if (Option.isNone(exit)) this.journal.complain(started, "it never settled")
        else if (started.settled === 0) this.journal.settle(started, Exit.flatten(exit.value))
      }
      // What was asked for in the last turn has left by now.
      yield* Effect.repeatN(this.turn, 2)
    })
  }

  /** A healthy connection: nothing is in flight any more, and the disk holds what it may. */
  private get atRest(): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      const drained = Effect.repeat(Effect.sleep("1 millis"), { until: () => this.tap.unanswered === 0 })
      if (this.tap.unanswered > 0) yield* Effect.timeoutOption(drained, this.patience)
      yield* this.turn
      const inFlight = yield* this.handle.inFlight
      // It may have ended in the meantime.
      if ((yield* this.handle.state)._tag === "Connected") {
        if (this.tap.unanswered > 0) this.journal.problems.push(`${this.tap.unanswered} requests were never answered`)
        if (inFlight > 0) this.journal.problems.push(`${inFlight} commands are in flight at the end`)
      }
      this.compare()
      const number = this.operations.length + 1
      this.journal.disk.begin(number, { command: "read", offset: 0n, length: this.known })
      const content = yield* Effect.either(contentOf(this.handle, this.known))
      if (content._tag === "Right") {
        const wrong = this.journal.disk.judge(number, 0, content.right)
        if (wrong !== undefined) this.journal.problems.push(`the content at the end: ${wrong}`)
      } else if (!this.journal.tolerance.ends) {
        this.journal.problems.push(`the content cannot be read at the end: ${content.left.message}`)
      }
    })
  }

  private compare(): void {
    this.requests = this.tap.requests.length
    this.journal.compare(this.tap.requests)
  }
}

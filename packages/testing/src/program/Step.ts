/**
 * Programs: what they consist of, how they are drawn, and how they read.
 *
 * @since 0.1.0
 */
import { errno, type ErrnoName } from "@effect-nbd/core/wire/Errno"
import * as FastCheck from "effect/FastCheck"
import { type Area, type Request, request, strayRequest } from "../arbitraries/Requests.ts"

/**
 * What the server does wrong, or slowly.
 *
 * - `Hold`: answers nothing from now on. `Release`: answers all of it.
 * - `Fail`: fails the next request. `Delay`: answers the next request a millisecond late.
 * - `Disconnect`: ends in order. `Reset`: breaks the connection.
 *
 * @since 0.1.0
 * @category models
 */
export type Fault =
  | { readonly _tag: "Hold" | "Release" | "Delay" | "Disconnect" | "Reset" }
  | { readonly _tag: "Fail"; readonly errno: ErrnoName }

/**
 * One step of a program. Operations are numbered from 1, in the order of their start.
 *
 * - `Start`: begins an operation, and goes on at once.
 * - `Await`: waits for one, unless the server holds its answers back.
 * - `Interrupt`: interrupts one.
 * - `Yield`: lets the others go on for so many turns.
 * - `Shutdown`: begins to shut the handle down. `Close`: closes its scope.
 * - `Fault`: the server's.
 *
 * @since 0.1.0
 * @category models
 */
export type Step =
  | { readonly _tag: "Start"; readonly request: Request }
  | { readonly _tag: "Await" | "Interrupt"; readonly operation: number }
  | { readonly _tag: "Yield"; readonly turns: number }
  | { readonly _tag: "Shutdown" | "Close" }
  | { readonly _tag: "Fault"; readonly fault: Fault }

/**
 * A program of concurrent operations on one connection. It shows itself as lines of text in a counterexample.
 *
 * @since 0.1.0
 * @category models
 */
export class Program {
  /** The export that it is for. */
  readonly area: Area
  /** Most requests that are in flight at once. */
  readonly limit: number
  readonly steps: ReadonlyArray<Step>

  constructor(area: Area, limit: number, steps: ReadonlyArray<Step>) {
    this.area = area
    this.limit = limit
    this.steps = steps
  }

  toString(): string {
    return show(this)
  }

  [FastCheck.toStringMethod](): string {
    return `\n${show(this)}\n`
  }
}

/**
 * What programs are drawn for.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProgramOptions extends Area {
  /** Most steps; 30 by default. */
  readonly maxLength?: number
  /** The server does wrong too; `false` by default. */
  readonly faults?: boolean
}

/** A step before it is known how many operations there are. */
type Draft = Step | { readonly _tag: "AwaitSome" | "InterruptSome"; readonly which: number }

const draft = (options: ProgramOptions): FastCheck.Arbitrary<Draft> => {
  const fault: FastCheck.Arbitrary<Fault> = FastCheck.oneof(
    FastCheck.record({ _tag: FastCheck.constantFrom("Delay" as const, "Hold" as const, "Release" as const) }),
    FastCheck.record({
      _tag: FastCheck.constant("Fail" as const),
      // The names are the keys of that table.
      errno: FastCheck.constantFrom(...(Object.keys(errno) as Array<ErrnoName>))
    }),
    {
      weight: 1,
      arbitrary: FastCheck.record({ _tag: FastCheck.constantFrom("Disconnect" as const, "Reset" as const) })
    }
  )
  const start = (requests: FastCheck.Arbitrary<Request>): FastCheck.Arbitrary<Draft> =>
    FastCheck.record({ _tag: FastCheck.constant("Start" as const), request: requests })
  return FastCheck.oneof(
    { weight: 20, arbitrary: start(request(options)) },
    { weight: 3, arbitrary: start(strayRequest(options)) },
    {
      weight: 8,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Yield" as const),
        turns: FastCheck.integer({ min: 1, max: 20 })
      })
    },
    {
      weight: 8,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constantFrom("AwaitSome" as const, "InterruptSome" as const),
        which: FastCheck.nat({ max: 31 })
      })
    },
    { weight: 1, arbitrary: FastCheck.record({ _tag: FastCheck.constantFrom("Shutdown" as const, "Close" as const) }) },
    ...(options.faults === true
      ? [{
        weight: 5,
        arbitrary: FastCheck.record({ _tag: FastCheck.constant("Fault" as const), fault })
      }]
      : [])
  )
}

/** Gives the operations their numbers, the newest the smallest to draw; what names one before there is any is left out. */
const numbered = (drafts: ReadonlyArray<Draft>): ReadonlyArray<Step> => {
  let started = 0
  return drafts.flatMap((each): ReadonlyArray<Step> => {
    if (each._tag === "Start") started++
    if (!("which" in each)) return [each]
    const operation = started - each.which % Math.max(1, started)
    return started === 0 ? [] : [{ _tag: each._tag === "AwaitSome" ? "Await" : "Interrupt", operation }]
  })
}

/**
 * Programs for an export. They shrink towards few steps, reads at the start of the export, and no faults. Their requests
 * meet each other as `window` and `longest` say: without them, a server that passes over one kind of change, or cuts long
 * ones short, is found in some tens of programs, whatever the size of the export.
 *
 * @since 0.1.0
 * @category constructors
 */
export const arbitrary = (options: ProgramOptions): FastCheck.Arbitrary<Program> =>
  FastCheck.record({
    limit: FastCheck.constantFrom(1024, 4, 2, 1),
    drafts: FastCheck.array(draft(options), { maxLength: options.maxLength ?? 30, size: "max" })
  }).map(({ drafts, limit }) => {
    const { blockSize, longest, size, window } = options
    return new Program({ size, blockSize, window, longest }, limit, numbered(drafts))
  })

/**
 * An operation in words: `write 512 +1024`.
 *
 * @since 0.1.0
 * @category formatting
 */
export const showRequest = ({ command, length, offset }: Request): string =>
  command === "flush" ? command : `${command} ${offset} +${length}`

const showStep = (step: Step): string => {
  switch (step._tag) {
    case "Start":
      return showRequest(step.request)
    case "Await":
    case "Interrupt":
      return `${step._tag.toLowerCase()} #${step.operation}`
    case "Yield":
      return `yield ${step.turns}`
    case "Shutdown":
    case "Close":
      return step._tag.toLowerCase()
    case "Fault":
      return `server: ${step.fault._tag.toLowerCase()}${step.fault._tag === "Fail" ? ` ${step.fault.errno}` : ""}`
  }
}

/**
 * A program as lines of text, an operation each with its number, offset and length.
 *
 * @since 0.1.0
 * @category formatting
 */
export const show = ({ area, limit, steps }: Program): string => {
  let started = 0
  const lines = steps.map((step) => `${(step._tag === "Start" ? `#${++started}` : "").padStart(4)} ${showStep(step)}`)
  const blocks = `blocks of ${area.blockSize?.minimum ?? 1}`
  return [`${area.size} bytes in ${blocks}, at most ${limit} in flight`, ...lines].join("\n")
}

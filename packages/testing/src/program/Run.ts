/**
 * Runs a program over a Transport, beside the reference disk, and says what must not have been.
 *
 * @since 0.1.0
 */
import * as Handle from "@effect-nbd/core/Handle"
import type { ConnectError } from "@effect-nbd/core/handshake/ConnectError"
import { Transport } from "@effect-nbd/core/Transport"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Scope from "effect/Scope"
import { Journal } from "./Journal.ts"
import { contentOf } from "./Perform.ts"
import { Reference } from "./Reference.ts"
import { defaultPatience, Running, type RunOptions } from "./Running.ts"
import { type Program, show } from "./Step.ts"
import { Tap } from "./Tap.ts"

/**
 * What a run came to: how many operations ended how, and what was sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Report {
  readonly operations: number
  readonly succeeded: number
  /** By the client: nothing was sent. */
  readonly refused: number
  /** By the server. */
  readonly failed: number
  readonly lost: number
  readonly interrupted: number
  /** Requests that were sent. */
  readonly requests: number
  readonly mostInFlight: number
  /** The handle's last state before its scope was closed. */
  readonly state: "Connected" | "ShutDown" | "Dead"
}

/**
 * Something was as it must not be. The message has the program in it.
 *
 * @since 0.1.0
 * @category errors
 */
export class ProgramError extends Data.TaggedError("NbdProgramError")<{
  readonly problems: ReadonlyArray<string>
  readonly program: Program
}> {
  override get message(): string {
    return [...this.problems, "", show(this.program)].join("\n")
  }
}

const nothingRun: Report = {
  operations: 0,
  succeeded: 0,
  refused: 0,
  failed: 0,
  lost: 0,
  interrupted: 0,
  requests: 0,
  mostInFlight: 0,
  state: "Dead"
}

/** Most bytes of an export that are known of, if the program does not keep to a part of it. */
const longestWindow = 1_048_576

/**
 * Runs the program on a connection of its own, and fails with all that was wrong. It writes to the export, and needs a
 * clock that goes by itself.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = (
  program: Program,
  options: RunOptions = {}
): Effect.Effect<Report, ProgramError | ConnectError, Transport> =>
  Effect.scoped(Effect.gen(function*() {
    const tap = new Tap(program.limit)
    const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
    const transport = tap.over(yield* Transport)
    const handle = yield* Handle.connect({
      ...options.exportName === undefined ? {} : { exportName: options.exportName },
      limits: { requests: program.limit },
      handshakeTimeout: options.patience ?? defaultPatience,
      metaContexts: [{ name: "base:allocation", optional: true }]
    }).pipe(Scope.extend(scope), Effect.provideService(Transport, transport))
    const { blockSize, size, window = longestWindow } = program.area
    if (handle.export.size !== BigInt(size)) {
      return yield* new ProgramError({ problems: [`the export has ${handle.export.size} bytes`], program })
    }
    const block = blockSize?.minimum ?? 1
    const known = Math.floor(Math.min(Number(size), window) / block) * block
    const connection = options.connection ?? "Reliable"
    const content = yield* contentOf(handle, known).pipe(
      Effect.timeout(options.patience ?? defaultPatience),
      Effect.mapError(({ message }) =>
        new ProgramError({ problems: [`the export cannot be read: ${message}`], program })
      ),
      Effect.catchAll((error) => connection === "Reliable" ? error : Effect.void)
    )
    // It ended before there was anything to run.
    if (content === undefined) return nothingRun
    const journal = new Journal(handle.export, new Reference(block, content), {
      failures: options.failures ?? false,
      ends: connection !== "Reliable",
      losses: connection !== "Reliable"
    })
    // What the handshake sent is of no interest, nor are the reads of the content.
    tap.begin(handle.export.replyStyle)
    const running = new Running({ handle, journal, known, options, scope, tap })
    for (const step of program.steps) yield* running.step(step)
    const state = yield* running.end
    const problems = [...journal.problems, ...tap.problems]
    if (problems.length > 0) return yield* new ProgramError({ problems, program })
    const operations = journal.started.length
    return { ...journal.counts, operations, requests: running.requests, mostInFlight: tap.most, state }
  }))

/**
 * A connection to a program that serves over its stdin and stdout, which are one socket.
 *
 * @since 0.1.0
 * @internal
 */
import type { Connection } from "@effect-nbd/core/Transport"
import type { ProgramNotFoundError, SocketFolderError } from "@effect-nbd/core/TransportError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as ChildProgram from "./ChildProgram.ts"
import { notFound } from "./CommandDescription.ts"
import { inOwnScope } from "./OwnScope.ts"
import * as SocketPair from "./SocketPair.ts"

/**
 * What the program is to the other side.
 *
 * - `Server`: it serves by itself, and may have something to finish behind the end of its stdin.
 * - `Carrier`: it passes on what it gets, as ssh does. When our half has ended and was passed on, nothing is left for it to
 *   do: it is ended then, even where the server behind it keeps its own half open.
 *
 * @since 0.1.0
 * @category models
 */
export type Role = "Server" | "Carrier"

/**
 * Runs the program; closing the scope ends it and waits until it is gone.
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = (
  role: Role,
  describe: () => ChildProgram.Program
): Effect.Effect<Connection, ProgramNotFoundError | SocketFolderError, Scope.Scope> =>
  Effect.suspend(() => inOwnScope(run(role, describe())))

/** From the end of its stdin until it is sent SIGTERM, in milliseconds. */
const exitGraceMillis = 200

/** One run of the program. */
const run = (
  role: Role,
  program: ChildProgram.Program
): Effect.Effect<Connection, ProgramNotFoundError | SocketFolderError, Scope.Scope> => {
  const cannotStart = (cause: unknown) => notFound(program, cause)
  // The connection is there before the program, and asks it for the reason when it ends.
  let started: ChildProgram.ChildProgram | undefined
  const pair = SocketPair.make({
    peer: `command ${program.command}`,
    onEndWrites: role === "Carrier" ? () => started?.terminate() : undefined,
    onClose: () => started?.terminate(),
    explain: (end, report) => started === undefined ? report(end) : started.explain(end, report)
  })
  const start = ({ ours, theirs }: SocketPair.SocketPair) =>
    Effect.try(() => {
      started = ChildProgram.start(program, {
        stdin: theirs,
        stdout: theirs,
        handedOver: () => theirs.destroy(),
        farewell: ours.connection.endWrites,
        farewellMillis: exitGraceMillis,
        onExit: () => ours.writesLost(Object.assign(new Error(`${program.command} ended`), { code: "EPIPE" })),
        onRelease: ours.abandon
      })
      return started
    }).pipe(Effect.mapError(cannotStart))
  return Effect.gen(function*() {
    const both = yield* pair
    const child = yield* Effect.acquireRelease(start(both), ({ release }) => release)
    const error = yield* child.started
    return error === undefined ? both.ours.connection : yield* Effect.fail(cannotStart(error))
  })
}

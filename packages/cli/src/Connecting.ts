/**
 * Opens a connection for a copy: waits as long as `Patience` says, and tells what has happened where nothing of NBD came.
 *
 * @since 0.1.0
 */
import * as Handle from "@effect-nbd/core/Handle"
import type { HandleConfig } from "@effect-nbd/core/HandleConfig"
import { Transport } from "@effect-nbd/core/Transport"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Fault } from "./Failure.ts"
import * as Patience from "./Patience.ts"
import * as Race from "./Race.ts"

/**
 * The connection was taken, and ended, or nothing came, before the server's greeting. That is what servers do that have
 * enough clients: qemu-nbd takes no more than one unless it is told otherwise, and nbd-server closes on those above
 * `maxconnections`. A peer that is no NBD server may do it as well.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotGreetedError extends Data.TaggedError("NotGreetedError")<{
  readonly server: string
  readonly how: "Closed" | "Silent"
  /** How long it was waited for. */
  readonly after: Duration.Duration
}> {
  override get message(): string {
    const silent = `said nothing within ${Duration.format(this.after)}`
    return `${this.server} took the connection and ${
      this.how === "Closed" ? "closed it without a word" : silent
    }: it may have as many clients as it takes (qemu-nbd takes one unless --shared says more), or be no NBD server${
      this.how === "Closed" ? "" : "; --timeout waits longer"
    }`
  }
}

/**
 * Connects and enters the export.
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = (
  name: string,
  config: HandleConfig,
  patience: Patience.Patience
): Effect.Effect<Handle.Connected, Fault, Transport | Scope.Scope> =>
  Effect.gen(function*() {
    const transport = yield* Transport
    const greeting = patience.greeting ?? Duration.decode(transport.greetingTimeout ?? Patience.greetingBeyondTcp)
    const handle = yield* Handle.make({ ...config, handshakeTimeout: patience.handshake })
    const hasGreeted = Effect.map(handle.statistics, ({ bytesReceived }) => bytesReceived > 0n)
    const silent = new NotGreetedError({ server: name, how: "Silent", after: greeting })
    const givenUp = Effect.flatMap(
      Effect.zipRight(Effect.sleep(greeting), hasGreeted),
      (hasGreeted) => hasGreeted ? Effect.never : Effect.fail(silent)
    )
    yield* Race.first(handle.connect, givenUp).pipe(
      Effect.catchTags({
        NbdHandshakeTimeoutError: (error) => Effect.fail(error.received === 0 ? silent : error),
        NbdServerDisconnectedError: (error) =>
          Effect.fail(
            error.phase === "greeting" && error.received === 0
              ? new NotGreetedError({ server: name, how: "Closed", after: Duration.zero })
              : error
          )
      })
    )
    const connected = {
      ...handle,
      peer: transport.target,
      agreed: yield* handle.agreed,
      export: yield* handle.exportInfo,
      inFlight: Effect.orElseSucceed(handle.inFlight, () => 0)
    }
    // No handle goes back to the states before, so from now on its commands are refused as those of a connected one are.
    return connected as Handle.Connected
  })

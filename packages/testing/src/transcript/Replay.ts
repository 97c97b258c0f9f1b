/**
 * Plays one side of a transcript, and compares what the other side says with what it said then.
 *
 * A replay follows the order of the recording: what was sent after the other side had said something is sent after it has
 * said that much again. It has no notion of time, and waits for the other side for ever.
 *
 * @since 0.1.0
 */
import { FrameReader } from "@effect-nbd/core/framing/FrameReader"
import type { TlsServerSettings, TlsSettings } from "@effect-nbd/core/Tls"
import type { TlsCredentialsError, TlsError, TlsVerificationError } from "@effect-nbd/core/TlsError"
import { type Connection, Transport } from "@effect-nbd/core/Transport"
import type { TransportLostError } from "@effect-nbd/core/TransportError"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as MemoryPipe from "../MemoryPipe.ts"
import * as ScriptedServer from "../ScriptedServer.ts"
import { annotate } from "./Annotation.ts"
import { type Comparison, Expected, type TranscriptMismatchError } from "./Comparison.ts"
import { Cookies } from "./Cookies.ts"
import { bytesFrom, type Transcript } from "./Model.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface ServerReplayOptions {
  /** How alike what the client says must be; `CookiesMayDiffer` by default. */
  readonly compare?: Comparison
  /** How bytes arrive, in both directions; `MemoryPipe.whole` by default. */
  readonly delivery?: MemoryPipe.Delivery
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ServerReplay {
  readonly transport: Context.Tag.Service<Transport>
  /**
   * Waits until every transcript has been played to its end, or the first client has said something else than in the
   * recording.
   */
  readonly played: Effect.Effect<void, TranscriptMismatchError>
  /**
   * Runs clients over the transport, and waits until all was played. As soon as one says something else it fails with
   * that, and ends the clients, for whom it is no more than a lost connection. What they have failed with themselves comes
   * behind it in the cause.
   */
  readonly playedBy: <A, E, R>(
    clients: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | TranscriptMismatchError, Exclude<R, Transport>>
}

/**
 * A Transport whose first connection is served as the server of the first transcript did, and so on; any further one is
 * broken at once. Where a client says something else than was recorded, its connection breaks.
 *
 * Cookies are the client's choice. By default they may differ from those of the recording, and replies carry the cookie
 * that the client has given to the same request: the one at the same place among all that the client sent. So requests
 * must come in the order of the recording. TLS is the make-believe one of MemoryPipe. Where the recording was cut, or
 * says of no end, the server's half ends in order.
 *
 * @since 0.1.0
 * @category constructors
 */
export const replayServer = (
  transcripts: Transcript | ReadonlyArray<Transcript>,
  options?: ServerReplayOptions
): Effect.Effect<ServerReplay, never, Scope.Scope> =>
  Effect.gen(function*() {
    const all = "events" in transcripts ? [transcripts] : transcripts
    const outcomes = yield* Effect.forEach(all, () => Deferred.make<void, TranscriptMismatchError>())
    const script: ScriptedServer.Script = (server) => {
      const [transcript, outcome] = [all[server.connection - 1], outcomes[server.connection - 1]]
      return transcript === undefined || outcome === undefined
        ? server.reset
        : serve(transcript, options?.compare ?? "CookiesMayDiffer", server).pipe(
          Effect.onExit((exit) => Deferred.done(outcome, exit)),
          Effect.catchAll(() => server.reset)
        )
    }
    const transport = yield* ScriptedServer.make(script, { delivery: options?.delivery, name: "replayed server" })
    const played = Effect.forEach(outcomes, (outcome) => Deferred.await(outcome), {
      concurrency: "unbounded",
      discard: true
    })
    const found = Effect.forEach(
      outcomes,
      (outcome) => Effect.flatMap(Deferred.poll(outcome), Option.getOrElse(() => Effect.void)),
      { discard: true }
    )
    return {
      transport,
      played,
      playedBy: (clients) => beside(Effect.provideService(clients, Transport, transport), played, found)
    }
  })

/** Fails as soon as `played` does. `found` fails where it has failed already. */
const beside = <A, E, R>(
  clients: Effect.Effect<A, E, R>,
  played: Effect.Effect<void, TranscriptMismatchError>,
  found: Effect.Effect<void, TranscriptMismatchError>
): Effect.Effect<A, E | TranscriptMismatchError, R> =>
  Effect.raceWith(clients, Effect.zipRight(played, Effect.never), {
    onSelfDone: (exit, watching) =>
      Exit.isSuccess(exit)
        ? Effect.zipRight(Fiber.interrupt(watching), Effect.as(played, exit.value))
        : Fiber.interrupt(watching).pipe(
          // Where the connection was broken, it is known why by now.
          Effect.zipRight(Effect.exit(found)),
          Effect.flatMap((watched) => Effect.failCause(both(watched, exit)))
        ),
    onOtherDone: (watched, running) =>
      Effect.flatMap(Fiber.interrupt(running), (exit) => Effect.failCause(both(watched, exit)))
  })

/** What the server found is first; that clients were interrupted for it is not worth telling. */
const both = <E>(
  watched: Exit.Exit<void, TranscriptMismatchError>,
  clients: Exit.Exit<unknown, E>
): Cause.Cause<E | TranscriptMismatchError> => {
  const first = Exit.isFailure(watched) ? watched.cause : Cause.empty
  if (Exit.isSuccess(clients) || Exit.isFailure(watched) && Cause.isInterruptedOnly(clients.cause)) return first
  return Cause.isEmpty(first) ? clients.cause : Cause.sequential(first, clients.cause)
}

const serve = (
  transcript: Transcript,
  compare: Comparison,
  server: ScriptedServer.ServerEnd
): Effect.Effect<void, TranscriptMismatchError> =>
  Effect.gen(function*() {
    const messages = annotate(transcript)
    const cookies = new Cookies(messages)
    const asked = bytesFrom("client", transcript)
    const expected = new Expected("client", messages.client, asked, compare, (at, bytes) => cookies.heard(at, bytes))
    for (const event of transcript.events) {
      switch (event._tag) {
        case "Bytes":
          if (event.from === "client") yield* expected.take(server.reader, event.bytes.byteLength)
          else yield* server.send(compare === "Exact" ? event.bytes : cookies.said(event.bytes))
          break
        case "Ended":
          if (event.from === "client") yield* expected.takeEnd(server.reader)
          else yield* event.how === "Finished" ? server.end : server.sever
          break
        case "TlsBegan":
          yield* encrypt(server.reader)
          break
        case "Cut":
          return
      }
    }
  })

/** The make-believe TLS of a pipe looks at no credentials. Without it, the client's next bytes are not as recorded. */
const encrypt = (reader: FrameReader): Effect.Effect<void> => {
  const { connection } = reader
  const accepted = connection.acceptTls?.(noCredentials)
  return accepted === undefined
    ? Effect.void
    : Effect.ignore(Effect.map(accepted, (encrypted) => reader.goOnOver(encrypted)))
}

const noCredentials: TlsServerSettings = { credentials: { _tag: "Psk", keyOf: () => undefined } }

/**
 * @since 0.1.0
 * @category models
 */
export interface ClientReplayOptions {
  /** How alike what the server says must be; `Exact` by default. */
  readonly compare?: Exclude<Comparison, "CookiesMayDiffer">
  /** For a recording in which TLS began. By default it is required, and nothing else is said of it. */
  readonly tls?: TlsSettings
}

/**
 * Says on the connection what the client of the transcript said, its cookies included, and compares what the server says.
 * Servers that answer side by side may do so in another order than in the recording, which is a mismatch too.
 *
 * The connection is the caller's to close; where the recording has the client's end, this half has ended.
 *
 * @since 0.1.0
 * @category constructors
 */
export const replayClient = (
  transcript: Transcript,
  connection: Connection,
  options?: ClientReplayOptions
): Effect.Effect<
  void,
  TranscriptMismatchError | TlsCredentialsError | TlsVerificationError | TlsError | TransportLostError
> =>
  Effect.gen(function*() {
    const messages = annotate(transcript)
    const reader = new FrameReader(connection)
    const said = bytesFrom("server", transcript)
    const expected = new Expected("server", messages.server, said, options?.compare ?? "Exact")
    for (const event of transcript.events) {
      switch (event._tag) {
        case "Bytes":
          if (event.from === "server") yield* expected.take(reader, event.bytes.byteLength)
          else yield* reader.send([event.bytes])
          break
        case "Ended":
          if (event.from === "server") yield* expected.takeEnd(reader)
          else if (event.how === "Finished") reader.connection.endWrites()
          else reader.connection.close()
          break
        case "TlsBegan": {
          const prepared = reader.connection.prepareTls?.(options?.tls ?? { mode: "Require" })
          if (prepared !== undefined) reader.goOnOver(yield* yield* prepared)
          break
        }
        case "Cut":
          return
      }
    }
  })

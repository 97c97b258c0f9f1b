/**
 * A Transport whose other end plays exact bytes, for tests of servers that break the rules or vanish.
 *
 * It knows nothing of the protocol: a script takes and sends bytes, and may do so wrongly.
 *
 * @since 0.1.0
 */
import { FrameReader, type StreamEnded } from "@effect-nbd/core/framing/FrameReader"
import { Transport } from "@effect-nbd/core/Transport"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as MemoryPipe from "./MemoryPipe.ts"

/**
 * The server's end of one connection.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerEnd {
  /** Connections are numbered from 1, so that a script can behave differently when the client comes again. */
  readonly connection: number
  readonly reader: FrameReader
  /** The next `count` bytes from the client. */
  readonly take: (count: number) => Effect.Effect<Uint8Array, StreamEnded>
  /** Sends bytes in one write. */
  readonly send: (...chunks: ReadonlyArray<Uint8Array>) => Effect.Effect<void>
  /** Ends this half in order. */
  readonly end: Effect.Effect<void>
  /** Breaks the connection: whatever is under way is lost, and the client sees ECONNRESET. */
  readonly reset: Effect.Effect<void>
  /** Breaks the connection once what was sent has arrived. */
  readonly sever: Effect.Effect<void>
}

/**
 * What the server does on one connection. When it returns, or finds that the client has left, its half ends in order; to
 * keep silent instead, end it with `Effect.never`.
 *
 * @since 0.1.0
 * @category models
 */
export type Script = (server: ServerEnd) => Effect.Effect<void, StreamEnded>

/**
 * A step of a transcript: bytes the server sends, or the number of bytes it takes first.
 *
 * @since 0.1.0
 * @category models
 */
export type Step =
  | { readonly _tag: "Send"; readonly bytes: Uint8Array }
  | { readonly _tag: "Take"; readonly count: number }

/**
 * The server sends these bytes.
 *
 * @since 0.1.0
 * @category steering
 */
export const sends = (bytes: Uint8Array): Step => ({ _tag: "Send", bytes })

/**
 * The server takes so many bytes before it goes on.
 *
 * @since 0.1.0
 * @category steering
 */
export const takes = (count: number): Step => ({ _tag: "Take", count })

/**
 * What is left when a transcript has been played: the server's half ends in order, the connection breaks, or the server
 * stays there and says nothing.
 *
 * @since 0.1.0
 * @category models
 */
export type Finale = "Finished" | "Broken" | "Silence"

/**
 * Plays a transcript, cut short after `cutAfter` bytes of what the server sends; whole by default. A break comes after
 * the bytes before it have arrived.
 *
 * @since 0.1.0
 * @category constructors
 */
export const play = (
  steps: ReadonlyArray<Step>,
  options?: { readonly cutAfter?: number; readonly finale?: Finale }
): Script =>
  Effect.fnUntraced(function*(server) {
    let left = options?.cutAfter ?? Infinity
    for (const step of steps) {
      if (step._tag === "Take") {
        yield* server.take(step.count)
        continue
      }
      const bytes = step.bytes.subarray(0, left)
      left -= bytes.byteLength
      yield* server.send(bytes)
      if (bytes.byteLength < step.bytes.byteLength) break
    }
    switch (options?.finale ?? "Finished") {
      case "Finished":
        return
      case "Broken":
        return yield* server.sever
      case "Silence":
        return yield* Effect.never
    }
  })

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How bytes arrive, in both directions or in each. */
  readonly delivery?: MemoryPipe.Delivery | MemoryPipe.Directions | undefined
  /** What clients call it in errors; `scripted server` by default. */
  readonly name?: string
}

/**
 * A Transport whose connections are each served by the script, in the scope. Defects of a script are logged and break
 * its connection.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  script: Script,
  options?: Options
): Effect.Effect<Context.Tag.Service<Transport>, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope) => {
    const target = options?.name ?? "scripted server"
    let connections = 0
    const open = Effect.acquireRelease(
      Effect.flatMap(MemoryPipe.open({ delivery: options?.delivery, name: target }), (pipe) => {
        const playing = Effect.interruptible(run(script, pipe, ++connections))
        return Effect.as(Effect.forkIn(playing, scope), pipe.client)
      }),
      (client) => Effect.sync(client.close)
    )
    // A test whose clock stands still would wait for ever.
    return { target, open, closeTimeout: 0 }
  })

/**
 * A Transport whose connections are each served by the script.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  script: Script,
  options?: Options
): Layer.Layer<Transport> => Layer.scoped(Transport, make(script, options))

const run = (script: Script, pipe: MemoryPipe.MemoryPipe, connection: number): Effect.Effect<void> => {
  const reader = new FrameReader(pipe.server)
  const end: ServerEnd = {
    connection,
    reader,
    take: (count) => reader.take(count),
    send: (...chunks) => reader.send(chunks),
    end: Effect.sync(pipe.server.endWrites),
    reset: Effect.sync(pipe.reset),
    sever: Effect.sync(pipe.sever)
  }
  const playing = Effect.catchAll(script(end), () => Effect.void)
  return Effect.zipRight(playing, end.end).pipe(
    // The connection stays until the client has left, so that what was sent is not lost with it.
    Effect.zipRight(drained(reader)),
    Effect.catchAllDefect((defect) =>
      Effect.zipRight(Effect.logError("the script of a server died", defect), end.reset)
    ),
    Effect.ensuring(Effect.sync(pipe.server.close))
  )
}

const drained = (reader: FrameReader): Effect.Effect<void> =>
  Effect.suspend(() => reader.take(Math.max(1, reader.buffered))).pipe(
    Effect.forever,
    Effect.catchAll(() => Effect.void)
  )

/**
 * A `Socket` of `@effect/platform` as a Node.js stream.
 *
 * @since 0.1.0
 * @internal
 */
import * as Socket from "@effect/platform/Socket"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { Duplex } from "node:stream"
import { codeOf } from "./StreamConnection.ts"

/**
 * Opens the socket. With the scope it is closed, and so it is when the stream is destroyed. The stream fails with
 * `ENOBUFS` once more than `maxUnread` bytes have come that were not read.
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = (
  socket: Socket.Socket,
  maxUnread: number
): Effect.Effect<Duplex, Socket.SocketError, Scope.Scope> =>
  Effect.gen(function*() {
    const write = yield* socket.writer
    const run = yield* FiberSet.makeRuntime()
    const opened = yield* Deferred.make<void, Socket.SocketError>()
    const stream = new SocketDuplex(maxUnread, {
      write: (chunks, callback) =>
        run(Effect.forEach(chunks, write, { discard: true })).addObserver((exit) => callback(failureOf(exit))),
      end: (callback) => run(write(new Socket.CloseEvent(1000))).addObserver((exit) => callback(failureOf(exit))),
      destroy: () => reader.unsafeInterruptAsFork(FiberId.none)
    })
    const reader = yield* Effect.forkScoped(
      // Handlers that return an Effect are run side by side: this one returns nothing.
      socket.run((bytes) => stream.arrived(bytes), { onOpen: Deferred.succeed(opened, undefined) }).pipe(
        Effect.onExit((exit) =>
          Effect.zipRight(
            Effect.sync(() => stream.over(failureOf(exit))),
            Deferred.done(opened, exit)
          )
        )
      )
    )
    yield* Deferred.await(opened)
    return stream
  })

/** Nothing for an interruption, which comes from this side, and for a normal closure, which some sockets fail with. */
const failureOf = (exit: Exit.Exit<unknown, Socket.SocketError>): Error | undefined => {
  if (Exit.isSuccess(exit) || Cause.isInterruptedOnly(exit.cause)) return undefined
  return Option.match(Cause.failureOption(exit.cause), {
    onNone: () => Object.assign(new Error(Cause.pretty(exit.cause)), { code: "EIO" }),
    onSome: (error) => {
      if (error.reason !== "Close") return coded(error, codeOf(error.cause))
      return error.code === 1000 ? undefined : coded(error, `CLOSE_${error.code}`)
    }
  })
}

const coded = (cause: Socket.SocketError, code: string): Error =>
  Object.assign(new Error(cause.message, { cause }), { code })

interface Carrier {
  readonly write: (chunks: ReadonlyArray<Uint8Array>, callback: (error?: Error) => void) => void
  readonly end: (callback: (error?: Error) => void) => void
  readonly destroy: () => void
}

class SocketDuplex extends Duplex {
  readonly #maxUnread: number
  readonly #carrier: Carrier
  #isOver = false
  /** What waits for a write to be done. */
  #written: ((error?: Error) => void) | undefined

  constructor(maxUnread: number, carrier: Carrier) {
    super({ writableHighWaterMark: 65_536 })
    this.#maxUnread = maxUnread
    this.#carrier = carrier
    // It may fail before anybody listens.
    this.on("error", () => {})
  }

  arrived(bytes: Uint8Array): void {
    if (this.destroyed || this.push(bytes) || this.readableLength <= this.#maxUnread) return
    this.destroy(Object.assign(new Error(`more than ${this.#maxUnread} bytes were not read`), { code: "ENOBUFS" }))
  }

  /** The socket has closed. A write that is under way then would never be done. */
  over(error: Error | undefined): void {
    this.#isOver = true
    if (error !== undefined) this.destroy(error)
    else if (!this.destroyed) this.push(null)
    this.#settle()
  }

  override _read(): void {}

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, callback: (error?: Error) => void): void {
    this.#send([chunk], callback)
  }

  override _writev(chunks: Array<{ readonly chunk: Uint8Array }>, callback: (error?: Error) => void): void {
    this.#send(chunks.map(({ chunk }) => chunk), callback)
  }

  override _final(callback: (error?: Error) => void): void {
    this.#under(callback, (settle) => this.#carrier.end(settle))
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#carrier.destroy()
    callback(error)
  }

  #send(chunks: ReadonlyArray<Uint8Array>, callback: (error?: Error) => void): void {
    this.#under(callback, (settle) => this.#carrier.write(chunks, settle))
  }

  /** At most one thing is under way: a stream waits for one before it asks for the next. */
  #under(callback: (error?: Error) => void, start: (settle: (error?: Error) => void) => void): void {
    if (this.#isOver) return callback()
    this.#written = callback
    start((error) => this.#settle(error))
  }

  #settle(error?: Error): void {
    const callback = this.#written
    this.#written = undefined
    callback?.(error)
  }
}

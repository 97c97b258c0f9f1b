/**
 * What the tests talk to: servers on loopback and in private folders, and a receiver that records.
 */
import type { Connection, ConnectionEnd, Receiver } from "@effect-nbd/core/Transport"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import * as fs from "node:fs/promises"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"

/** A folder of its own, removed with the scope. */
export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() => fs.mkdtemp(path.join(os.tmpdir(), "effect-nbd-"))),
  (name) => Effect.promise(() => fs.rm(name, { recursive: true, force: true }))
)

export interface Listener {
  readonly port: number
  readonly sockets: Array<net.Socket>
  /** The next socket that is accepted, or the last if one has been. */
  readonly accepted: Promise<net.Socket>
}

/** Listens on a free loopback port, or on a path; everything accepted is destroyed with the scope. */
export const listen = (
  onSocket: (socket: net.Socket) => void,
  options: net.ServerOpts & { readonly path?: string } = {}
): Effect.Effect<Listener, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<{ server: net.Server; listener: Listener }>((resume) => {
        const sockets: Array<net.Socket> = []
        let arrived: (socket: net.Socket) => void
        const accepted = new Promise<net.Socket>((resolve) => arrived = resolve)
        const server = net.createServer(options, (socket) => {
          sockets.push(socket)
          socket.on("error", () => {})
          onSocket(socket)
          arrived(socket)
        })
        const ready = () => {
          const address = server.address()
          const port = typeof address === "object" && address !== null ? address.port : 0
          resume(Effect.succeed({ server, listener: { port, sockets, accepted } }))
        }
        if (options.path === undefined) server.listen(0, "127.0.0.1", ready)
        else server.listen(options.path, ready)
      }),
      ({ listener, server }) =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          for (const socket of listener.sockets) socket.destroy()
        })
    ),
    ({ listener }) => listener
  )

/** A port on which nothing listens: taken, then given back. */
export const freePort: Effect.Effect<number> = Effect.scoped(Effect.map(listen(() => {}), ({ port }) => port))

/** The same bytes for the same length, of no regular period. */
export const pattern = (length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  for (let i = 0, x = 1; i < length; i++) {
    x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0
    bytes[i] = x >>> 16
  }
  return bytes
}

export const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** Records what it is told, and counts breaches of the seam's promises. */
export class Recorder implements Receiver {
  readonly ends: Array<ConnectionEnd> = []
  readonly hash = createHash("sha256")
  readonly chunks: Array<Uint8Array> = []
  received = 0
  drains = 0
  breaches = 0
  /** Set while the test is inside a call of its own into the connection. */
  inside = false
  answer: (bytes: Uint8Array) => boolean
  #watchers: Array<() => void> = []

  constructor(answer: (bytes: Uint8Array) => boolean = () => true, keep = true) {
    this.answer = answer
    this.#keep = keep
  }
  readonly #keep: boolean

  readonly onBytes = (bytes: Uint8Array): boolean => {
    this.#check()
    this.received += bytes.byteLength
    this.hash.update(bytes)
    if (this.#keep) this.chunks.push(bytes.slice())
    const more = this.answer(bytes)
    this.#wake()
    return more
  }
  readonly onEnd = (end: ConnectionEnd): void => {
    this.#check()
    this.ends.push(end)
    this.#wake()
  }
  readonly onDrain = (): void => {
    this.#check()
    this.drains++
    this.#wake()
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString()
  }

  /** Runs a call into the connection, from inside of which nothing may be told. */
  call<A>(f: () => A): A {
    this.inside = true
    const result = f()
    this.inside = false
    return result
  }

  until(condition: () => boolean): Effect.Effect<void> {
    return Effect.async((resume) => {
      const watch = (): void => {
        if (!condition()) return
        this.#watchers = this.#watchers.filter((other) => other !== watch)
        resume(Effect.void)
      }
      this.#watchers.push(watch)
      watch()
    })
  }
  get ended(): Effect.Effect<ConnectionEnd> {
    return Effect.flatMap(
      this.until(() => this.ends.length > 0),
      () => Effect.fromNullable(this.ends[0]).pipe(Effect.orDie)
    )
  }
  bytes(count: number): Effect.Effect<void> {
    return this.until(() => this.received >= count)
  }

  #check(): void {
    if (this.inside || this.ends.length > 0) this.breaches++
  }
  #wake(): void {
    for (const watch of this.#watchers) watch()
  }
}

export const record = (connection: Connection, recorder: Recorder = new Recorder()): Recorder => {
  recorder.call(() => connection.receive(recorder))
  return recorder
}

/** After the events that are already on their way: several turns of the loop, polls included. */
export const turns = (count = 5): Effect.Effect<void> =>
  Effect.async((resume) => {
    const turn = (left: number): void => {
      if (left === 0) resume(Effect.void)
      else setImmediate(turn, left - 1)
    }
    turn(count)
  })

export const closed = (socket: net.Socket): Effect.Effect<void> =>
  Effect.async((resume) => {
    if (socket.closed) resume(Effect.void)
    else socket.once("close", () => resume(Effect.void))
  })

/** Whether a process of that id is there. */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** The open handles of this process of some kinds, by their class. */
export const handles = (...kinds: ReadonlyArray<string>): number =>
  process.getActiveResourcesInfo().filter((kind) => kinds.includes(kind)).length

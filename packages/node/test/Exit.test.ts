/**
 * A program that opens, uses and closes each transport has to end by itself, in a process of its own.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as fs from "node:fs"
import * as path from "node:path"
import { installed, run } from "./FreshProcess.ts"
import { isAlive, listen } from "./Peers.ts"

const script = (open: string) => `
  import * as TcpTransport from "@effect-nbd/node/TcpTransport"
  import * as UnixTransport from "@effect-nbd/node/UnixTransport"
  import * as CommandTransport from "@effect-nbd/node/CommandTransport"
  import * as SocketActivationTransport from "@effect-nbd/node/SocketActivationTransport"
  import * as Command from "platform/Command"
  import * as Effect from "effect/Effect"
  const heard = (connection) => Effect.async((resume) => {
    let text = ""
    connection.receive({
      onBytes: (bytes) => {
        text += Buffer.from(bytes)
        if (text === "hello") resume(Effect.succeed(text))
        return true
      },
      onEnd: () => {},
      onDrain: () => {}
    })
    connection.write([Buffer.from("hel"), Buffer.from("lo")])
  })
  const transport = ${open}
  console.log(await Effect.runPromise(Effect.scoped(Effect.flatMap(transport.open, heard))))`

describe("a program that used a transport", () => {
  it.scopedLive("ends by itself", () =>
    Effect.gen(function*() {
      const root = yield* installed
      const socket = path.join(root, "s")
      const { port } = yield* listen((socket) => socket.pipe(socket))
      yield* listen((socket) => socket.pipe(socket), { path: socket })
      for (
        const open of [
          `TcpTransport.make({ host: "127.0.0.1", port: ${port} })`,
          `UnixTransport.make({ path: ${JSON.stringify(socket)} })`,
          `CommandTransport.make(Command.make(process.execPath, "-e", "process.stdin.pipe(process.stdout)"))`,
          `SocketActivationTransport.make(Command.make(process.execPath, "-e",
            "require('net').createServer((socket) => socket.pipe(socket)).listen({ fd: 3 })"))`
        ]
      ) {
        expect(yield* Effect.timeout(run(root, script(open)), "10 seconds")).toStrictEqual({
          code: 0,
          out: "hello\nleft: \n"
        })
      }
    }), 40_000)
})

/** Opens three programs of which two do not care for SIGTERM, tells their ids, and does not come to the end of its scope. */
const leaving = (temporary: string, how: string) => `
  process.env.TMPDIR = ${JSON.stringify(temporary)}
  import * as CommandTransport from "@effect-nbd/node/CommandTransport"
  import * as SocketActivationTransport from "@effect-nbd/node/SocketActivationTransport"
  import * as Command from "platform/Command"
  import * as Effect from "effect/Effect"
  const id = (connection) => Effect.async((resume) => {
    connection.receive({
      onBytes: (bytes) => { resume(Effect.succeed(String(Buffer.from(bytes)))); return true },
      onEnd: () => {},
      onDrain: () => {}
    })
  })
  const node = (script) => Command.make(process.execPath, "-e", script)
  const stubborn = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000);"
  const tidy = "process.on('SIGTERM', () => { require('fs').writeFileSync(" +
    JSON.stringify(${
  JSON.stringify(`${temporary}.tidy`)
}) + ", 'asked'); process.exit() }); setInterval(() => {}, 1000);"
  const tellsItsId = "process.stdout.write(String(process.pid))"
  const serves = "require('net').createServer((socket) => socket.write(String(process.pid))).listen({ fd: 3 })"
  await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
    for (const transport of [
      CommandTransport.make(node(stubborn + tellsItsId)),
      CommandTransport.make(node(tidy + tellsItsId)),
      SocketActivationTransport.make(node(stubborn + serves))
    ]) console.log(yield* Effect.flatMap(transport.open, id))
    ${how}
    yield* Effect.never
  })))`

describe("a process that exits before it has closed its scopes", () => {
  it.scopedLive("leaves no program and no folder behind", () =>
    Effect.gen(function*() {
      const root = yield* installed
      const temporary = path.join(root, "tmp")
      fs.mkdirSync(temporary)
      const ended = yield* run(root, leaving(temporary, "process.exit(3)"))
      const ids = ended.out.trim().split("\n").map(Number)
      expect([ended.code, ids.length]).toStrictEqual([3, 3])
      yield* Effect.sync(() => ids.filter(isAlive)).pipe(
        // Until whoever is their parent now has noticed.
        Effect.repeat({ until: (alive) => alive.length === 0, schedule: Schedule.spaced("20 millis") }),
        Effect.timeout("10 seconds")
      )
      expect(fs.readdirSync(temporary)).toStrictEqual([])
      // It was asked before it was ended.
      expect(fs.readFileSync(`${temporary}.tidy`, "utf8")).toBe("asked")
    }), 40_000)
})

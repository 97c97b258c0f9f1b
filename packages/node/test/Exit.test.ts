/**
 * A program that opens, uses and closes each transport has to end by itself, in a process of its own.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as path from "node:path"
import { installed, run } from "./FreshProcess.ts"
import { listen } from "./Peers.ts"

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

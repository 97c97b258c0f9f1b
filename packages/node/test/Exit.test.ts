/**
 * A program that opens, uses and closes each transport has to end by itself. It runs in a process of its own, on the
 * sources without their types: Node 20 does not read TypeScript.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import ts from "typescript"
import { folder, listen } from "./Peers.ts"

const packages = path.join(import.meta.dirname, "..", "..")

/** A folder in which a script can import core, node and effect. */
const installed = Effect.map(folder, (root) => {
  for (const name of ["core", "node"]) {
    const source = path.join(packages, name, "src")
    const target = path.join(root, "node_modules", "@effect-nbd", name)
    for (const file of fs.readdirSync(source, { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".ts")) continue
      const { outputText } = ts.transpileModule(fs.readFileSync(path.join(source, file), "utf8"), {
        compilerOptions: {
          module: ts.ModuleKind.ESNext,
          target: ts.ScriptTarget.ES2022,
          rewriteRelativeImportExtensions: true
        }
      })
      fs.mkdirSync(path.dirname(path.join(target, file)), { recursive: true })
      fs.writeFileSync(path.join(target, file.replace(/ts$/, "js")), outputText)
    }
    fs.writeFileSync(path.join(target, "package.json"), `{ "type": "module", "exports": { "./*": "./*.js" } }`)
  }
  const effect = path.dirname(createRequire(import.meta.url).resolve("effect/package.json"))
  fs.symlinkSync(effect, path.join(root, "node_modules", "effect"))
  fs.symlinkSync(path.join(effect, "..", "@effect", "platform"), path.join(root, "node_modules", "platform"))
  return root
})

const script = (open: string) => `
  import * as TcpTransport from "@effect-nbd/node/TcpTransport"
  import * as UnixTransport from "@effect-nbd/node/UnixTransport"
  import * as CommandTransport from "@effect-nbd/node/CommandTransport"
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
  console.log(await Effect.runPromise(Effect.scoped(Effect.flatMap(transport.open, heard))))
  process.on("exit", () => console.log("left: " + process.getActiveResourcesInfo().filter((kind) => kind !== "PipeWrap")))`

const run = (root: string, open: string) =>
  Effect.async<{ code: number | null; out: string }>((resume) => {
    const file = path.join(root, "script.mjs")
    fs.writeFileSync(file, script(open))
    const child = spawn(process.execPath, [file], { stdio: ["ignore", "pipe", "inherit"] })
    let out = ""
    child.stdout.on("data", (text) => out += text)
    child.once("close", (code) => resume(Effect.succeed({ code, out })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

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
          `CommandTransport.make(Command.make(process.execPath, "-e", "process.stdin.pipe(process.stdout)"))`
        ]
      ) {
        expect(yield* Effect.timeout(run(root, open), "10 seconds")).toStrictEqual({ code: 0, out: "hello\nleft: \n" })
      }
    }), 40_000)
})

import type { Connection } from "@effect-nbd/core/Transport"
import { Transport } from "@effect-nbd/core/Transport"
import * as CommandTransport from "@effect-nbd/node/CommandTransport"
import * as SocketActivationTransport from "@effect-nbd/node/SocketActivationTransport"
import * as Command from "@effect/platform/Command"
import { describe, expect, it, vi } from "@effect/vitest"
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestContext from "effect/TestContext"
import * as fs from "node:fs"
import * as path from "node:path"
import { digest, folder, handles, isAlive, pattern, record, Recorder, turns } from "./Peers.ts"

/** A program in JavaScript. What it writes last before it ends goes through `fs.writeSync`, or Node may drop it. */
const node = (script: string, ...args: ReadonlyArray<string>) => Command.make(process.execPath, "-e", script, ...args)
const open = (command: Command.Command, options?: CommandTransport.Options) =>
  CommandTransport.make(command, options).open
const failure = (command: Command.Command) => Effect.flip(Effect.scoped(open(command)))

/** A program that says its process id, then runs the script. */
const withPid = (script: string) => node(`require("node:fs").writeSync(1, process.pid + " "); ${script}`)
const pidOf = (connection: Connection, recorder = new Recorder()) => {
  record(connection, recorder)
  return Effect.map(recorder.until(() => recorder.text.includes(" ")), () => Number.parseInt(recorder.text, 10))
}

const echo = "process.stdin.pipe(process.stdout)"
const mebibyte = 1_048_576

describe("CommandTransport", () => {
  it.scopedLive("carries bytes both ways", () =>
    Effect.gen(function*() {
      const transport = yield* Effect.provide(Transport, CommandTransport.layer(node(echo)))
      const connection = yield* transport.open
      const bytes = pattern(8 * mebibyte + 1)
      const recorder = record(connection)
      recorder.call(() => connection.write([bytes.subarray(0, 28), bytes.subarray(28, 5000), bytes.subarray(5000)]))
      yield* recorder.bytes(bytes.byteLength)
      expect(recorder.hash.digest("hex")).toBe(digest(bytes))
      recorder.call(connection.endWrites)
      expect(yield* recorder.ended).toMatchObject({
        _tag: "Finished",
        program: { exitCode: 0, signal: null, stderr: "" }
      })
      expect([connection.peer, transport.target]).toStrictEqual(Array(2).fill(`command ${process.execPath}`))
      expect(recorder.breaches).toBe(0)
    }), 20_000)

  it.scopedLive("holds the program back while the receiver says no, though it ends meanwhile", () =>
    Effect.gen(function*() {
      const script = `require("node:fs").writeSync(1, Buffer.alloc(100000, "x")); process.exit(3)`
      const connection = yield* open(node(script))
      let holding = true
      const recorder = record(connection, new Recorder(() => !holding))
      yield* recorder.bytes(1)
      const before = recorder.received
      // Longer than the time that last words have after an exit.
      yield* Effect.sleep("400 millis")
      expect([recorder.received, recorder.ends.length]).toStrictEqual([before, 0])
      holding = false
      recorder.call(connection.resume)
      expect(yield* recorder.ended).toMatchObject({ _tag: "Broken", error: { exitCode: 3 } })
      expect([recorder.received, recorder.breaches]).toStrictEqual([100_000, 0])
    }))

  it.live("finds no such program", () =>
    Effect.gen(function*() {
      const dir = yield* folder
      const cases: ReadonlyArray<readonly [Command.Command, string]> = [
        [Command.make("/no/such/program", "-s"), "ENOENT"],
        [Command.make("effect-nbd-no-such-program", "-s"), "ENOENT"],
        [Command.make(dir, "-s"), "EACCES"],
        [Command.workingDirectory(node(echo), path.join(dir, "absent")), "ENOENT"],
        [Command.make(process.execPath, "a\0b"), "ERR_INVALID_ARG_VALUE"],
        [Command.make(process.execPath, "x".repeat(3 * mebibyte)), "E2BIG"]
      ]
      for (const [command, code] of cases) {
        const error = yield* failure(command)
        expect(error).toMatchObject({ _tag: "NbdProgramNotFoundError", code })
        expect(error.message.length).toBeLessThan(200)
      }
      expect(yield* failure(Command.make("/no/such/program", "-s"))).toMatchObject({
        command: "/no/such/program",
        args: ["-s"]
      })
    }).pipe(Effect.scoped))

  it.scopedLive("says how the program ended, and the last that it said", () =>
    Effect.gen(function*() {
      const said = "é".repeat(3000)
      const script = `const fs = require("node:fs"); fs.writeSync(2, "first " + process.argv[1]); process.exit(7)`
      const recorder = record(yield* open(node(script, said)))
      const end = yield* recorder.ended
      expect(end).toMatchObject({
        _tag: "Broken",
        error: { _tag: "NbdProgramExitedError", command: process.execPath, exitCode: 7, signal: null }
      })
      const stderr = end._tag === "Broken" && end.error._tag === "NbdProgramExitedError" ? end.error.stderr : ""
      expect(stderr).toBe("é".repeat(2048))

      const killed = record(
        yield* open(node(`process.stderr.write("dying", () => process.kill(process.pid, "SIGKILL"))`))
      )
      expect(yield* killed.ended).toMatchObject({
        _tag: "Broken",
        error: { exitCode: null, signal: "SIGKILL", stderr: "dying" }
      })

      const done = record(yield* open(node(`require("node:fs").writeSync(1, "done")`)))
      expect(yield* done.ended).toMatchObject({ _tag: "Finished", program: { exitCode: 0 } })
      expect(done.text).toBe("done")
    }))

  it.scopedLive("says how the program ended to one who writes", () =>
    Effect.gen(function*() {
      const connection = yield* open(node(`process.stderr.write("no disk", () => process.exit(2))`))
      const recorder = record(connection)
      while (recorder.ends.length === 0) {
        recorder.call(() => connection.write([pattern(65_536)]))
        yield* turns(1)
      }
      expect(recorder.ends[0]).toMatchObject({ _tag: "Broken", error: { exitCode: 2, stderr: "no disk" } })
    }))

  it.scopedLive("does not blame the program for what is wrong beside it", () =>
    Effect.gen(function*() {
      const dir = yield* folder
      const [plain, script] = [path.join(dir, "plain"), path.join(dir, "script")]
      fs.writeFileSync(plain, "")
      fs.writeFileSync(script, "#!/no/such/interpreter\n", { mode: 0o755 })
      const message = (command: Command.Command) =>
        Effect.map(Effect.flip(open(command)), (error) => [error._tag, error.message])
      const tag = "NbdProgramNotFoundError"
      expect(yield* message(Command.make("/no/such/program"))).toStrictEqual([
        tag,
        "cannot start /no/such/program: no such program (ENOENT)"
      ])
      expect(yield* message(Command.make(plain))).toStrictEqual([
        tag,
        `cannot start ${plain}: it may not be executed (EACCES)`
      ])
      expect(yield* message(Command.make(script))).toStrictEqual([
        tag,
        `cannot start ${script}: ${script} is there, but the interpreter that it names is not (ENOENT)`
      ])
      expect(yield* message(Command.workingDirectory(Command.make("true"), plain))).toStrictEqual([
        tag,
        `cannot start true: its working directory ${plain} cannot be entered (ENOTDIR)`
      ])
    }))

  for (
    const [kind, make] of [["CommandTransport", CommandTransport.make], [
      "SocketActivationTransport",
      SocketActivationTransport.make
    ]] as const
  ) {
    it.scopedLive(`does not blame the program for a folder of temporary files that cannot be used: ${kind}`, () =>
      Effect.gen(function*() {
        const dir = yield* folder
        const [absent, long] = [path.join(dir, "absent"), path.join(dir, "x".repeat(100))]
        yield* Effect.addFinalizer(() => Effect.sync(() => vi.unstubAllEnvs()))
        vi.stubEnv("TMPDIR", absent)
        const error = yield* Effect.flip(make(Command.make("true")).open)
        expect(error).toMatchObject({ _tag: "NbdSocketFolderError", folder: absent, code: "ENOENT" })
        expect(error.message).toBe(`cannot make a socket for a program in ${absent} (ENOENT)`)
        // A path that is too long for a socket would be cut by Node.
        fs.mkdirSync(long)
        vi.stubEnv("TMPDIR", long)
        yield* make(
          node("require('net').createServer().listen({ fd: 3 }).on('error', () => {}); setInterval(() => {}, 1000)")
        ).open
        expect(fs.readdirSync(long)).toStrictEqual([])
      }))
  }

  it.scopedLive("does not blame the program for a working directory that is not there", () =>
    Effect.gen(function*() {
      const command = Command.make("true").pipe(Command.workingDirectory("/no/such/folder"))
      const error = yield* Effect.flip(open(command))
      expect(error).toMatchObject({ _tag: "NbdProgramNotFoundError", missingDirectory: "/no/such/folder" })
      expect(error.message).toBe("cannot start true: its working directory /no/such/folder does not exist")
    }))

  it.scopedLive("gives every opening a program of its own", () =>
    Effect.gen(function*() {
      const exits = `process.stdin.once("data", ([code]) => process.exit(code)); process.stdout.write("x")`
      const transport = CommandTransport.make(node(exits))
      const [first, second] = yield* Effect.all([transport.open, transport.open])
      const recorders = [record(first), record(second)]
      for (const recorder of recorders) yield* recorder.bytes(1)
      first.write([Uint8Array.of(7)])
      expect(yield* (recorders[0]?.ended ?? Effect.never)).toMatchObject({ _tag: "Broken", error: { exitCode: 7 } })
      second.write([Uint8Array.of(8)])
      expect(yield* (recorders[1]?.ended ?? Effect.never)).toMatchObject({ _tag: "Broken", error: { exitCode: 8 } })
    }))

  // stdin and stdout are one socket: it ends when the program has closed both.
  it.scopedLive("does not wait for a program that ends its stdin and stdout and stays", () =>
    Effect.gen(function*() {
      const script = `const { closeSync } = require("node:fs"); closeSync(0); closeSync(1); setInterval(() => {}, 1000)`
      const connection = yield* open(node(script))
      expect(yield* record(connection).ended).toStrictEqual({ _tag: "Finished", program: undefined })
    }))

  it.scopedLive("serves a program that answers on its stdin, as a child of inetd does", () =>
    Effect.gen(function*() {
      const script = `
        const socket = new (require("node:net").Socket)({ fd: 0 })
        socket.pipe(socket)`
      const connection = yield* open(node(script))
      const recorder = record(connection)
      connection.write([pattern(100_000)])
      yield* recorder.bytes(100_000)
      connection.endWrites()
      expect(yield* recorder.ended).toMatchObject({ _tag: "Finished", program: { exitCode: 0 } })
    }))

  it.scopedLive("notices an exit although a grandchild keeps stdout open, and closes all the same", () =>
    Effect.gen(function*() {
      const script = `
        const { spawn } = require("node:child_process")
        const child = spawn(process.execPath, ["-e", "setTimeout(() => {}, 60000)"], { stdio: ["ignore", 1, 2] })
        require("node:fs").writeSync(1, child.pid + " ")
        process.exit(4)`
      let pid = 0
      yield* Effect.addFinalizer(() => Effect.sync(() => pid > 0 && process.kill(pid, "SIGKILL")))
      yield* Effect.scoped(Effect.gen(function*() {
        const recorder = new Recorder()
        pid = yield* pidOf(yield* open(node(script)), recorder)
        expect(yield* recorder.ended).toMatchObject({ _tag: "Broken", error: { exitCode: 4 } })
      }))
      expect(isAlive(pid)).toBe(true)
    }))

  it.scopedLive("is not blocked by a program that floods stderr", () =>
    Effect.gen(function*() {
      const script = `
        const fs = require("node:fs")
        for (let i = 0; i < 256; i++) fs.writeSync(2, Buffer.alloc(65536, "x"))
        fs.writeSync(2, "the end"); fs.writeSync(1, "ready"); process.exit(1)`
      const before = process.memoryUsage.rss()
      const recorder = record(yield* open(node(script)))
      const end = yield* recorder.ended
      expect(recorder.text).toBe("ready")
      expect(end).toMatchObject({ error: { exitCode: 1, stderr: `${"x".repeat(4089)}the end` } })
      expect(process.memoryUsage.rss() - before).toBeLessThan(64 * mebibyte)
    }))

  it.live("takes environment, working directory and stderr of the command", () =>
    Effect.gen(function*() {
      const dir = yield* folder
      const script = `require("node:fs").writeSync(1, [process.env.HOME, process.env.A, process.cwd()].join("|"))`
      const run = (command: Command.Command) =>
        Effect.gen(function*() {
          const recorder = record(yield* open(command))
          yield* recorder.ended
          return recorder.text
        }).pipe(Effect.scoped)
      const command = node(script).pipe(
        Command.env({ A: "b" }),
        Command.workingDirectory(dir),
        Command.stderr("inherit")
      )
      expect(yield* run(command)).toBe(`${process.env["HOME"]}|b|${dir}`)
      expect(yield* run(Command.env(command, {}, { extendEnv: false }))).toBe(`|b|${dir}`)
      expect(yield* run(node(`require("node:fs").writeSync(1, process.argv[1])`, "$HOME; `a`"))).toBe("$HOME; `a`")
    }).pipe(Effect.scoped))

  it.scopedLive("runs as the user and the group of the command", () =>
    Effect.gen(function*() {
      const [uid, gid] = process.getuid?.() === 0 ? [65_534, 65_533] : [process.getuid?.(), process.getgid?.()]
      const script = `require("node:fs").writeSync(1, [process.getuid(), process.getgid()].join())`
      const plain = Command.flatten(node(script))[0]
      // The platform has the fields, and nothing that sets them.
      const command = Object.assign(Object.create(Object.getPrototypeOf(plain)) as Command.StandardCommand, plain, {
        uid: Option.fromNullable(uid),
        gid: Option.fromNullable(gid)
      })
      const recorder = record(yield* open(command))
      yield* recorder.ended
      expect(recorder.text).toBe(`${uid},${gid}`)
    }))

  it.live("refuses what it would have to run otherwise than it says", () =>
    Effect.gen(function*() {
      const commands = [
        Command.pipeTo(node(echo), node(echo)),
        Command.runInShell(node(echo), true),
        Command.stdin(node(echo), "inherit"),
        Command.stdout(node(echo), "inherit")
      ]
      for (const command of commands) {
        expect(() => CommandTransport.make(command)).toThrow(TypeError)
        const exit = yield* Effect.exit(Effect.provide(Effect.asVoid(Transport), CommandTransport.layer(command)))
        expect(Exit.isFailure(exit) && Cause.isDie(exit.cause)).toBe(true)
      }
    }))
})

describe("closing the scope", () => {
  const closing = (
    script: string,
    use: (connection: Connection) => Effect.Effect<unknown> = () => Effect.void,
    killGrace: Duration.DurationInput = "1 minute"
  ) =>
    Effect.gen(function*() {
      let pid = 0
      let closes = 0
      yield* Effect.scoped(Effect.gen(function*() {
        const connection = yield* open(withPid(script), { killGrace })
        pid = yield* pidOf(connection)
        yield* use(connection)
        closes = performance.now()
      }))
      expect(isAlive(pid)).toBe(false)
      const took = performance.now() - closes
      // Handles count until the turn after they were closed.
      yield* turns(2)
      expect(handles("PipeWrap", "ProcessWrap")).toBe(before)
      return took
    })
  const before = handles("PipeWrap", "ProcessWrap")

  it.live("ends the program by the end of its stdin", () =>
    Effect.gen(function*() {
      yield* closing(`process.on("SIGTERM", () => {}); process.stdin.resume()`)
    }))

  it.live("ends one that does not read, by SIGTERM", () =>
    Effect.gen(function*() {
      expect(yield* closing("setInterval(() => {}, 1000)")).toBeGreaterThan(190)
    }))

  it.live("ends one that ignores SIGTERM, by SIGKILL", () =>
    Effect.gen(function*() {
      const script = `process.on("SIGTERM", () => {}); process.stdin.resume(); setInterval(() => {}, 1000)`
      expect(yield* closing(script, () => Effect.void, "300 millis")).toBeGreaterThan(490)
    }))

  it.live("sends what was written first, though the program waits for its output to be read", () =>
    Effect.gen(function*() {
      const dir = yield* folder
      const file = path.join(dir, "out")
      const script = `
        const fs = require("node:fs")
        fs.writeSync(1, Buffer.alloc(4000000))
        fs.writeFileSync(${JSON.stringify(file)}, fs.readFileSync(0))`
      yield* closing(script, (connection) =>
        Effect.sync(() => {
          const stop = new Recorder(() => false)
          connection.receive(stop)
          connection.write([Buffer.from("disconnect")])
        }))
      const { readFileSync } = yield* Effect.promise(() => import("node:fs"))
      expect(readFileSync(file, "utf8")).toBe("disconnect")
    }).pipe(Effect.scoped))

  it.live("ends the program after close, failure and interruption too", () =>
    Effect.gen(function*() {
      yield* closing("process.stdin.resume()", (connection) => Effect.sync(() => connection.close()))
      yield* closing("setInterval(() => {}, 1000)", (connection) => Effect.sync(() => connection.close()))
      for (const last of [Effect.fail("failed"), Effect.interrupt, Effect.die("died")]) {
        let pid = 0
        yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
          pid = yield* pidOf(yield* open(withPid("process.stdin.resume()")))
          yield* last
        })))
        expect(isAlive(pid)).toBe(false)
      }
    }))

  it.live("starts at close, without the scope", () =>
    Effect.gen(function*() {
      const connection = yield* open(withPid("setInterval(() => {}, 1000)"))
      const pid = yield* pidOf(connection)
      connection.close()
      yield* Effect.async<void>((resume) => {
        const look = (): void => {
          if (isAlive(pid)) setTimeout(look, 10)
          else resume(Effect.void)
        }
        look()
      })
    }).pipe(Effect.scoped))

  it.live("takes real time, also under a test clock", () =>
    Effect.provide(closing("setInterval(() => {}, 1000)"), TestContext.TestContext))

  it.live("leaves no program behind when opening is interrupted", () =>
    Effect.gen(function*() {
      for (let wait = 0; wait < 12; wait++) {
        const fiber = yield* Effect.fork(
          Effect.scoped(Effect.zipRight(open(node("process.stdin.resume()")), Effect.never))
        )
        yield* wait < 4 ? Effect.void : wait < 8 ? Effect.yieldNow() : turns(wait - 8)
        yield* Fiber.interrupt(fiber)
        yield* turns(2)
        expect(handles("PipeWrap", "ProcessWrap")).toBe(before)
      }
    }), 20_000)
})

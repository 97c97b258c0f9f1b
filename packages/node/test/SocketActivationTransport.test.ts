import type { Connection } from "@effect-nbd/core/Transport"
import { Transport } from "@effect-nbd/core/Transport"
import * as SocketActivationTransport from "@effect-nbd/node/SocketActivationTransport"
import * as Command from "@effect/platform/Command"
import { describe, expect, it, vi } from "@effect/vitest"
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as fs from "node:fs"
import * as path from "node:path"
import { folder, handles, isAlive, record, Recorder, turns } from "./Peers.ts"

/** A server in JavaScript, which is given the socket and answers each client by what `script` does with `socket`. */
const server = (script: string, before = "") =>
  Command.make(
    process.execPath,
    "-e",
    `${before}
     require("node:net").createServer((socket) => { socket.on("error", () => {}); ${script} }).listen({ fd: 3 })`
  )
const withPid = `socket.write(process.pid + " "); socket.pipe(socket)`

const text = (connection: Connection, recorder = new Recorder()) =>
  Effect.gen(function*() {
    record(connection, recorder)
    yield* recorder.until(() => recorder.text.includes(" "))
    return recorder.text.slice(0, recorder.text.indexOf(" "))
  })

describe("SocketActivationTransport", () => {
  it.scopedLive("gives the server a socket, its own id, and nothing of an activation of this process", () =>
    Effect.gen(function*() {
      const env = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "A"]
      const answer = `socket.write(process.pid + "|" +
        ${JSON.stringify(env)}.map((name) => process.env[name]).join("|") + "|" + process.argv[1] + " ")`
      const run = (options?: SocketActivationTransport.Options) =>
        Effect.gen(function*() {
          const command = Command.env(Command.make(process.execPath, "-e", listening(answer), "a;$b"), {
            LISTEN_FDS: "7",
            LISTEN_PID: "1",
            LISTEN_FDNAMES: "a:b",
            LISTEN_PIDFDID: "2",
            A: "kept"
          })
          const transport = yield* Effect.provide(Transport, SocketActivationTransport.layer(command, options))
          const connection = yield* transport.open
          expect([transport.target, connection.peer]).toStrictEqual(Array(2).fill(`activated ${process.execPath}`))
          const [pid = "", ...rest] = (yield* text(connection)).split("|")
          return [rest[0] === pid, ...rest.slice(1)]
        })
      expect(yield* run()).toStrictEqual([true, "1", "unknown", "", "kept", "a;$b"])
      expect(yield* run({ name: "" })).toStrictEqual([true, "1", "unknown", "", "kept", "a;$b"])
      const name = "Az09".repeat(8)
      expect(yield* run({ name })).toStrictEqual([true, "1", name, "", "kept", "a;$b"])
    }))

  it.scopedLive("tells of a server that says by its exit status that it failed, and of no other", () =>
    Effect.gen(function*() {
      const failures: Array<number | null> = []
      const runs = [
        // By itself, when its client has left.
        "socket.on('close', () => process.exit(3)).resume()",
        "socket.on('close', () => process.exit(0)).resume()",
        // When it is told to.
        "process.on('SIGTERM', () => process.exit(4))",
        "process.on('SIGTERM', () => process.exit(143))",
        "process.on('SIGTERM', () => process.exit(0))",
        ""
      ]
      for (const script of runs) {
        const transport = SocketActivationTransport.make(server(`${script}; socket.write("ready ")`), {
          onFailure: ({ exitCode }) => void failures.push(exitCode)
        })
        yield* Effect.scoped(Effect.flatMap(transport.open, (connection) => text(connection)))
      }
      expect(failures).toStrictEqual([3, 4])
    }))

  it.scopedLive("opens further connections to the same server, until the last is closed", () =>
    Effect.gen(function*() {
      const transport = SocketActivationTransport.make(server(withPid))
      const pids: Array<string> = []
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Effect.scoped(Effect.gen(function*() {
          pids.push(yield* text(yield* transport.open))
          pids.push(
            ...yield* Effect.all([Effect.flatMap(transport.open, text), Effect.flatMap(transport.open, text)], {
              concurrency: "unbounded"
            })
          )
          const outer = yield* Effect.flatMap(transport.open, text)
          pids.push(outer)
        }))
        expect(isAlive(Number(pids[0]))).toBe(false)
        const kept = yield* Effect.flatMap(transport.open, text)
        yield* Effect.scoped(Effect.asVoid(Effect.flatMap(transport.open, text)))
        expect(isAlive(Number(kept))).toBe(true)
        pids.push(kept)
      }))
      expect(new Set(pids).size).toBe(2)
      expect(new Set(pids.slice(0, 4)).size).toBe(1)
      expect(pids.map((pid) => isAlive(Number(pid)))).toStrictEqual(pids.map(() => false))
    }))

  it.scopedLive("starts another server when one has ended, whoever still holds a connection to it", () =>
    Effect.gen(function*() {
      const transport = SocketActivationTransport.make(server(`${withPid}; socket.once("data", () => process.exit(5))`))
      const first = yield* transport.open
      const recorder = new Recorder()
      const pid = yield* text(first, recorder)
      first.write([Buffer.from("x")])
      expect(yield* recorder.ended).toMatchObject({
        _tag: "Broken",
        error: { _tag: "NbdProgramExitedError", exitCode: 5 }
      })
      const second = yield* Effect.flatMap(transport.open, text)
      const third = yield* Effect.scoped(Effect.flatMap(transport.open, text))
      expect(second).toBe(third)
      expect(second).not.toBe(pid)
      expect(isAlive(Number(second))).toBe(true)
    }))

  // A server that waits in accept() would be told EAGAIN otherwise.
  it.scopedLive("gives it a socket that blocks, and nothing else than that and the standard streams", () =>
    Effect.gen(function*() {
      const looks = `grep flags /proc/self/fdinfo/3 >&2; for fd in 0 3 4; do readlink /proc/$$/fd/$fd >&2; done; exit 3`
      const told = (input: "pipe" | "inherit") =>
        Effect.gen(function*() {
          const { open } = SocketActivationTransport.make(Command.stdin(Command.make("/bin/sh", "-c", looks), input))
          const ended = yield* open.pipe(
            Effect.flatMap((connection) => record(connection).ended),
            Effect.map((end) => end._tag === "Broken" ? end.error : undefined),
            Effect.catchTag("NbdProgramExitedError", Effect.succeed)
          )
          return ended?._tag === "NbdProgramExitedError" ? ended.stderr.trim().split("\n") : []
        })
      for (
        const [input, expected] of [["pipe", "/dev/null"], ["inherit", fs.readlinkSync("/proc/self/fd/0")]] as const
      ) {
        const [flags = "", stdin, third, ...others] = yield* told(input)
        const [, digits = ""] = /^flags:\s*([0-7]+)$/.exec(flags) ?? []
        expect(Number.parseInt(digits, 8) & fs.constants.O_NONBLOCK).toBe(0)
        expect([stdin, others]).toStrictEqual([expected, []])
        expect(third).toMatch(/^socket:/)
      }
    }))

  it.scopedLive("waits for the server before to be gone", () =>
    Effect.gen(function*() {
      const lock = path.join(yield* folder, "lock")
      const locking = `
        const fs = require("node:fs")
        fs.writeSync(fs.openSync(${JSON.stringify(lock)}, "wx"), "locked")
        process.on("SIGTERM", () => setTimeout(() => { fs.unlinkSync(${JSON.stringify(lock)}); process.exit() }, 100));`
      const transport = SocketActivationTransport.make(server(withPid, locking))
      const once = Effect.scoped(Effect.flatMap(transport.open, text))
      const pids = [yield* once, ...yield* Effect.all([Effect.delay(once, "20 millis"), once], { concurrency: 2 })]
      expect(pids.every((pid) => /^[0-9]+$/.test(pid))).toBe(true)
      expect(fs.existsSync(lock)).toBe(false)
    }))

  it.live("finds no such program, or one that cannot run", () =>
    Effect.gen(function*() {
      const dir = yield* folder
      const plain = path.join(dir, "plain")
      fs.writeFileSync(plain, "")
      const failure = (command: Command.Command) =>
        Effect.flip(Effect.scoped(SocketActivationTransport.make(command).open))
      const cases: ReadonlyArray<readonly [Command.Command, string]> = [
        [Command.make("/no/such/program", "-s"), "ENOENT"],
        [Command.make("effect-nbd-no-such-program"), "ENOENT"],
        [Command.env(Command.make("plain"), { PATH: dir }), "EACCES"],
        [Command.make(plain), "EACCES"],
        [Command.make(dir), "EACCES"],
        [Command.make(""), "EACCES"],
        [Command.workingDirectory(server(""), path.join(dir, "absent")), "ENOENT"],
        [Command.make(process.execPath, "a\0b"), "ERR_INVALID_ARG_VALUE"],
        [Command.make(process.execPath, "x".repeat(3_000_000)), "E2BIG"]
      ]
      for (const [command, code] of cases) {
        expect(yield* failure(command)).toMatchObject({ _tag: "NbdProgramNotFoundError", code })
      }
      expect(yield* failure(Command.make("/no/such/program", "-s"))).toMatchObject({
        command: "/no/such/program",
        args: ["-s"]
      })
      expect(yield* failure(Command.workingDirectory(server(""), "/no/such/folder"))).toMatchObject({
        command: process.execPath,
        missingDirectory: "/no/such/folder"
      })
    }).pipe(Effect.scoped))

  it.scopedLive("finds a program as the system does", () =>
    Effect.gen(function*() {
      const dir = yield* folder
      const script = `#!/bin/sh\nexec ${JSON.stringify(process.execPath)} "$@"\n`
      for (const name of ["-c", "plain"]) fs.writeFileSync(path.join(dir, name), script, { mode: 0o755 })
      fs.mkdirSync(path.join(dir, "other", "plain"), { recursive: true })
      const run = (command: Command.Command) =>
        Effect.flatMap(SocketActivationTransport.make(command).open, text).pipe(Effect.scoped)
      const args = ["-e", listening(`socket.write("ok ")`)]
      const inPath = (name: string, PATH: string) => Command.env(Command.make(name, ...args), { PATH })
      expect(yield* run(inPath("plain", `${dir}/other:${dir}`))).toBe("ok")
      expect(yield* run(inPath("-c", dir))).toBe("ok")
      expect(yield* run(Command.workingDirectory(inPath("plain", ""), dir))).toBe("ok")
      expect(yield* run(Command.workingDirectory(Command.make("./plain", ...args), dir))).toBe("ok")
    }))

  it.scopedLive("says how the server ended, and the last that it said", () =>
    Effect.gen(function*() {
      const dies = Command.make(process.execPath, "-e", `process.stderr.write("no disk", () => process.exit(2))`)
      const early = { _tag: "NbdProgramExitedError", command: process.execPath, exitCode: 2, stderr: "no disk" }
      // Whether the connection was there first is for the system to say.
      const ended = yield* SocketActivationTransport.make(dies).open.pipe(
        Effect.flatMap((connection) => record(connection).ended),
        Effect.map((end) => end._tag === "Broken" ? end.error : undefined),
        Effect.catchTag("NbdProgramExitedError", Effect.succeed)
      )
      expect(ended).toMatchObject(early)

      const killed = yield* SocketActivationTransport.make(server(`process.kill(process.pid, "SIGKILL")`)).open
      expect(yield* record(killed).ended).toMatchObject({ error: { exitCode: null, signal: "SIGKILL" } })

      const hangsUp = yield* SocketActivationTransport.make(server(`socket.end("bye")`)).open
      const recorder = record(hangsUp)
      expect(yield* recorder.ended).toStrictEqual({ _tag: "Finished", program: undefined })
      expect(recorder.text).toBe("bye")
    }))

  it.live("refuses what it would have to run otherwise than it says", () =>
    Effect.gen(function*() {
      const plain = Command.make("true")
      const cases: ReadonlyArray<readonly [Command.Command, SocketActivationTransport.Options?]> = [
        [Command.pipeTo(plain, plain)],
        [Command.runInShell(plain, true)],
        [Command.feed(plain, "text")],
        [plain, { name: "a".repeat(33) }],
        [plain, { name: "a:b" }],
        [plain, { name: "a b" }],
        [plain, { name: "é" }],
        [plain, { name: "a\n" }]
      ]
      for (const [command, options] of cases) {
        expect(() => SocketActivationTransport.make(command, options)).toThrow(TypeError)
        const layer = SocketActivationTransport.layer(command, options)
        const exit = yield* Effect.exit(Effect.provide(Effect.asVoid(Transport), layer))
        expect(Exit.isFailure(exit) && Cause.isDie(exit.cause)).toBe(true)
      }
    }))
})

describe("closing the scope", () => {
  /** What is left of everything: in a folder for temporary ones that only this test knows, and of this process. */
  const leaves = <E>(use: Effect.Effect<unknown, E>) =>
    Effect.gen(function*() {
      const temporary = yield* folder
      vi.stubEnv("TMPDIR", temporary)
      yield* Effect.addFinalizer(() => Effect.sync(() => vi.unstubAllEnvs()))
      yield* turns()
      const before = handles("PipeWrap", "ProcessWrap")
      yield* use
      yield* turns()
      return { folders: fs.readdirSync(temporary), handles: handles("PipeWrap", "ProcessWrap") - before }
    })
  const nothing = { folders: [], handles: 0 }

  const closed = (command: Command.Command, killGrace: Duration.DurationInput) =>
    Effect.gen(function*() {
      let from = 0
      const transport = SocketActivationTransport.make(command, { killGrace })
      const pid = yield* Effect.scoped(Effect.gen(function*() {
        const pid = Number(yield* Effect.flatMap(transport.open, text))
        from = performance.now()
        return pid
      }))
      expect(isAlive(pid)).toBe(false)
      return performance.now() - from
    })

  it.scopedLive("ends the server by SIGTERM", () =>
    Effect.gen(function*() {
      expect(yield* leaves(closed(server(withPid), "1 minute"))).toStrictEqual(nothing)
    }))

  it.scopedLive("ends one that ignores SIGTERM, by SIGKILL", () =>
    Effect.gen(function*() {
      const ignores = server(withPid, `process.on("SIGTERM", () => {});`)
      const slow = Effect.map(closed(ignores, "300 millis"), (took) => expect(took).toBeGreaterThan(290))
      expect(yield* leaves(slow)).toStrictEqual(nothing)
    }))

  it.scopedLive("leaves nothing behind when opening is interrupted or fails", () =>
    Effect.gen(function*() {
      const transport = SocketActivationTransport.make(server(withPid))
      const interrupted = (wait: number) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.fork(Effect.scoped(Effect.zipRight(transport.open, Effect.never)))
          yield* wait < 4 ? Effect.void : wait < 8 ? Effect.yieldNow() : turns(wait - 8)
          yield* Fiber.interrupt(fiber)
        })
      expect(
        yield* leaves(Effect.gen(function*() {
          yield* Effect.forEach(Array.from({ length: 12 }, (_, wait) => wait), interrupted)
          yield* Effect.exit(Effect.scoped(Effect.zipRight(transport.open, Effect.die("died"))))
          yield* Effect.exit(Effect.scoped(SocketActivationTransport.make(Command.make("/no/such/program")).open))
        }))
      ).toStrictEqual(nothing)
    }))
})

function listening(answer: string): string {
  return `require("node:net").createServer((socket) => { ${answer} }).listen({ fd: 3 })`
}

/** `effect-nbd copy` and `serve` as they are installed, with servers and files that are not as one would like them. */
import * as Listener from "#cli/Listener"
import * as DuplexConnection from "@effect-nbd/node/DuplexConnection"
import * as FakeServer from "@effect-nbd/testing/FakeServer"
import * as Steering from "@effect-nbd/testing/Steering"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Schedule from "effect/Schedule"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as net from "node:net"
import { join } from "node:path"
import { bin, cli, itWith, run, start } from "./support/programs.ts"
import { folder } from "./support/servers.ts"
import { serving } from "./support/serving.ts"

const mebibyte = 1_048_576
const content = Uint8Array.from({ length: mebibyte }, (_, index) => (index * 7 + 1) % 251)
const exports = [{ name: "", size: mebibyte, content }]

/** A folder of a file system that knows files of nearly 2^63 bytes. */
const farFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync("/dev/shm/effect-nbd-")),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

describe("positions beyond 2^53", () => {
  it.scopedLive.skipIf(process.platform !== "linux")(
    "are what they are, in a file that is served",
    () =>
      Effect.gen(function*() {
        const file = join(yield* farFolder, "disk")
        expect(spawnSync("truncate", ["-s", String(2n ** 53n + 8192n), file]).status).toBe(0)
        const small = join(yield* folder, "small")
        writeFileSync(small, content.subarray(0, 512))
        const { uri } = yield* serving("--port=0", `--export=,file=${file}`)
        const script = `
        import * as Effect from "effect/Effect"
        import { Handle } from "@effect-nbd/core"
        import { NodeTransport } from "@effect-nbd/node"
        const at = 2n ** 53n + 512n
        await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
          const nbd = yield* Handle.connect()
          yield* nbd.write(at, new Uint8Array(512).fill(7))
          console.log((yield* nbd.read(at, 512)).every((byte) => byte === 7), (yield* nbd.read(512n, 512)).every((byte) => byte === 0))
        })).pipe(Effect.provide(NodeTransport.layerUri(${JSON.stringify(uri)}))))`
        const answer = yield* run(process.execPath, "--input-type=module", "-e", script)
        expect(answer).toMatchObject({ stdout: "true true\n", stderr: "", code: 0 })
      }),
    60_000
  )

  it.scopedLive.skipIf(process.platform !== "linux")(
    "are what they are, in a file that is copied to another",
    () =>
      Effect.gen(function*() {
        const directory = yield* farFolder
        const [source, destination] = [join(directory, "source"), join(directory, "destination")]
        const size = 2n ** 53n + 8193n
        expect(spawnSync("truncate", ["-s", String(size), source]).status).toBe(0)
        const [seek, last] = [`seek=${size - 5n}`, "\u0001\u0002\u0003\u0004\u0005"]
        expect(spawnSync("dd", [`of=${source}`, "bs=1", seek, "conv=notrunc"], { input: last }).status).toBe(0)
        expect(yield* run(process.execPath, bin, "copy", source, destination)).toMatchObject({ stderr: "", code: 0 })
        expect(spawnSync("stat", ["-c", "%s", destination], { encoding: "utf8" }).stdout).toBe(`${size}\n`)
        expect(spawnSync("tail", ["-c", "5", destination], { encoding: "utf8" }).stdout).toBe(last)
      }),
    60_000
  )
})

const connecting = (path: string) =>
  Effect.acquireRelease(
    Effect.async<net.Socket, "not yet">((resume) => {
      const socket = net.connect({ path })
      socket.once("connect", () => resume(Effect.succeed(socket)))
      socket.once("error", () => resume(Effect.fail("not yet")))
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** A listener that decides about each connection by its number, from 0 on; and its URI. */
const byNumber = (
  server: FakeServer.FakeServerService,
  decide: (index: number, socket: net.Socket) => "Serve" | "Done"
) =>
  Effect.gen(function*() {
    const fork = yield* FiberSet.makeRuntime()
    const sockets = new Set<net.Socket>()
    let count = 0
    const listener = net.createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket.on("error", () => {}))
      if (decide(count++, socket) === "Done") return
      fork(server.serve(DuplexConnection.fromStreams({ readable: socket, writable: socket, peer: "client" })))
    })
    yield* Effect.addFinalizer(() =>
      Effect.async<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        listener.close(() => resume(Effect.void))
      })
    )
    const port = yield* Effect.async<number>((resume) => {
      listener.listen(0, "127.0.0.1", () => {
        const address = listener.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    })
    return { uri: `nbd://127.0.0.1:${port}`, count: () => count }
  })

describe("copy", () => {
  it.scopedLive.each(
    [
      ["dropped", (socket: net.Socket) => socket.destroy()],
      ["ended", (socket: net.Socket) => socket.end()],
      ["mute", () => {}]
    ] as const
  )("does what one connection can do where the others are %s", ([, treat]) =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ exports })
      const { count, uri } = yield* byNumber(server, (index, socket) => {
        if (index === 0) return "Serve"
        treat(socket)
        return "Done"
      })
      const out = join(yield* folder, "out")
      const { code, stderr } = yield* cli("copy", "--connections=4", uri, out)
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      expect(readFileSync(out).equals(content)).toBe(true)
      expect(count()).toBeGreaterThan(1)
    }), 60_000)

  it.scopedLive("writes the zeroes that a server offers to make and then refuses", () =>
    Effect.gen(function*() {
      for (const error of ["ENOTSUP", "EINVAL"] as const) {
        const server = yield* FakeServer.make({ exports })
        yield* server.onRequest(({ command }) => command === "WRITE_ZEROES" ? Steering.fail(error) : Steering.proceed)
        const address = yield* Listener.listen({ _tag: "Tcp", host: "127.0.0.1", port: 0 }, server.serve)
        const source = join(yield* folder, "source")
        writeFileSync(source, new Uint8Array(mebibyte))
        const uri = yield* Listener.uriOf(address, "")
        const { code, stderr } = yield* cli("copy", source, uri)
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
        const back = join(yield* folder, "back")
        expect((yield* cli("copy", uri, back)).code).toBe(0)
        expect(readFileSync(back).every((byte) => byte === 0)).toBe(true)
      }
    }), 60_000)

  it.scopedLive("has as much time as it is given", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ exports })
      const { uri } = yield* byNumber(server, () => "Done")
      const out = join(yield* folder, "out")
      const { code, stderr } = yield* cli("copy", "--timeout=300ms", uri, out)
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("300ms") })
      expect(stderr).not.toContain("probably no NBD server")
    }), 60_000)

  it.scopedLive("that fails in the middle leaves the file that was there", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ exports })
      yield* server.onRequest(({ command, offset }) =>
        command === "READ" && offset >= 524_288n ? Steering.fail("EIO") : Steering.proceed
      )
      const address = yield* Listener.listen({ _tag: "Tcp", host: "127.0.0.1", port: 0 }, server.serve)
      const directory = yield* folder
      const out = join(directory, "out")
      writeFileSync(out, "the older one")
      const { code, stderr } = yield* cli("copy", "--request-size=65536", yield* Listener.uriOf(address, ""), out)
      expect(code).toBe(1)
      expect(stderr).toContain(`${out}.part`)
      expect(readFileSync(out, "utf8")).toBe("the older one")
      expect(readdirSync(directory).toSorted()).toEqual(["out", "out.part"])
    }), 60_000)

  itWith("nbdkit")("has failed where the server that was run for it says so at its end", () =>
    Effect.gen(function*() {
      const inner = "export LISTEN_PID=$$; exec nbdkit -f memory 1M"
      for (const [code, expected] of [[3, 1], [0, 0]] as const) {
        // It is sent SIGTERM when the copy is done.
        const script = `trap 'kill $!; wait; exit ${code}' TERM; sh -c '${inner}' & wait`
        const out = join(yield* folder, "out")
        const ended = yield* cli("copy", "[", "sh", "-c", script, "]", out)
        expect({ code: ended.code, stderr: ended.stderr }).toEqual({
          code: expected,
          stderr: expected === 0 ? "" : expect.stringMatching(/sh ended with exit code 3/)
        })
      }
    }), 60_000)

  itWith("qemu-nbd")("does not take a server that is busy with another client for none", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const [image, path] = [join(directory, "image"), join(directory, "socket")]
      writeFileSync(image, content)
      yield* start("qemu-nbd", "-t", "-e", "1", "-f", "raw", "-k", path, image)
      const other = yield* Effect.retry(connecting(path), { times: 200, schedule: Schedule.spaced("20 millis") })
      yield* Effect.async<void>((resume) => void other.once("data", () => resume(Effect.void)))
      for (const command of ["info", "copy"]) {
        const words = command === "copy" ? [join(directory, "out")] : []
        const ended = yield* cli(command, "--timeout=1s", `nbd+unix:///?socket=${path}`, ...words)
        expect(ended).toMatchObject({ code: 1, stdout: "" })
        expect(ended.stderr).not.toContain("probably no NBD server")
        expect(ended.stderr).toMatch(/it may have as many clients as it takes|a busy server/)
      }
    }), 60_000)

  it.scopedLive("tells the progress of what has no size by what was copied", () =>
    Effect.gen(function*() {
      const out = join(yield* folder, "out")
      const { stderr } = yield* run(
        "sh",
        "-c",
        "head -c 31457280 /dev/zero | \"$0\" \"$1\" copy --progress - \"$2\"",
        process.execPath,
        bin,
        out
      )
      expect(readFileSync(out)).toHaveLength(31_457_280)
      expect(stderr).toContain("copied 30 MiB")
      expect(stderr).not.toMatch(/100 ?%|of 0 bytes|31 MiB/)
    }), 60_000)
})

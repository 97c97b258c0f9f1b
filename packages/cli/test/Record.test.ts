/** `--record`: what is in the files, when they are written, and which files are left alone. */
import * as Record from "#cli/Record"
import type { Transport } from "@effect-nbd/core/Transport"
import * as MemoryPipe from "@effect-nbd/testing/MemoryPipe"
import * as Transcript from "@effect-nbd/testing/Transcript"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { randomBytes } from "node:crypto"
import { chmodSync, existsSync, readFileSync, statSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { cli, startCli, succeed } from "./support/programs.ts"
import { folder, freePort, greetingServer } from "./support/servers.ts"
import { serving } from "./support/serving.ts"

const load = (path: string): Transcript.Transcript => Either.getOrThrow(Transcript.parse(readFileSync(path, "utf8")))

const said = (transcript: Transcript.Transcript) => ({
  client: Transcript.bytesFrom("client", transcript),
  server: Transcript.bytesFrom("server", transcript)
})

const kinds = (transcript: Transcript.Transcript): ReadonlyArray<string> =>
  transcript.events.map((event) => event._tag === "Bytes" ? event.from : event._tag)

describe("a record", () => {
  it.scopedLive("of a client and one of its server have the same in them, and are nobody else's to read", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const [client, server] = [join(directory, "client.txt"), join(directory, "server.txt")]
      const served = yield* serving("--port=0", "--size=1M", "--export=disk", `--record=${server}`)
      const { code, stderr } = yield* cli("info", "--record", client, "--no-content", served.uri)
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      yield* served.server.kill("SIGTERM")
      expect((yield* served.server.ended).code).toBe(0)

      const [theirs, ours] = [load(server), load(client)]
      expect(said(ours)).toEqual(said(theirs))
      expect(kinds(ours)).toContain("Ended")
      const messages = Transcript.annotate(ours).client.map(({ kind }) => kind)
      expect(messages).toEqual(expect.arrayContaining(["client flags", "option"]))
      expect(ours.remarks).toEqual([expect.stringMatching(/^effect-nbd --record: connection 1 of \d, to tcp /)])
      expect(theirs.remarks).toEqual([
        expect.stringMatching(/^effect-nbd --record: session 1, with client 127\.0\.0\.1/)
      ])
      expect(statSync(client).mode & 0o077).toBe(0)
    }))

  it.scopedLive("of a copy has a file for each connection, the source's first", () =>
    Effect.gen(function*() {
      const file = join(yield* folder, "copy.txt")
      const source = yield* serving("--port=0", "--size=1M")
      const destination = yield* serving("--port=0", "--size=1M")
      const { code, stderr } = yield* cli("copy", "--record", file, source.uri, destination.uri)
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      const remarks = ["", ".2", ".3", ".4"].map((end) => load(`${file}${end}`).remarks.join())
      const ports = [source, source, destination, destination].map(({ port }) => port)
      expect(remarks).toEqual(
        ports.map((port, index) => `effect-nbd --record: connection ${index + 1} of 4, to tcp 127.0.0.1:${port}`)
      )
      expect(existsSync(`${file}.5`)).toBe(false)
    }))

  it.scopedLive("says where it ends because there is too much of it", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const [file, image] = [join(directory, "copy.txt"), join(directory, "disk.img")]
      writeFileSync(image, randomBytes(5 * 1_048_576))
      const source = yield* serving("--port=0", `--export=,file=${image}`)
      const { code, stderr } = yield* cli("copy", "--synchronous", "--record", file, source.uri, "null:")
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      expect(readFileSync(file, "utf8").endsWith("\ncut at the limit\n")).toBe(true)
      expect(statSync(file).size).toBeLessThan(16_000_000)
    }))

  it.scopedLive("is written where nothing came of it, and where it was interrupted", () =>
    Effect.gen(function*() {
      const file = join(yield* folder, "record.txt")
      const refused = yield* cli("info", "--record", file, `nbd://127.0.0.1:${yield* freePort}`)
      expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("refused") })
      expect(load(file)).toEqual(Transcript.make([], ["effect-nbd --record: no connection"]))

      // The same file again, since it is a record.
      const { answered, port } = yield* greetingServer
      const waiting = yield* startCli("info", "--record", file, `nbd://127.0.0.1:${port}`)
      yield* answered
      yield* waiting.kill("SIGINT")
      expect((yield* waiting.ended).code).toBe(130)
      expect(kinds(load(file))).toEqual(["server", "client", "Ended"])
    }))

  it.scopedLive("is nobody else's to read either where the file was there already, or a link to it", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const [file, link] = [join(directory, "record.txt"), join(directory, "link.txt")]
      symlinkSync(file, link)
      const uri = `nbd://127.0.0.1:${yield* freePort}`
      for (
        const [path, content] of [[file, "# effect-nbd --record: an older one\n"], [file, ""], [link, ""]] as const
      ) {
        writeFileSync(file, content)
        chmodSync(file, 0o666)
        expect(yield* cli("info", "--record", path, uri)).toMatchObject({ code: 1 })
        expect(load(file)).toEqual(Transcript.make([], ["effect-nbd --record: no connection"]))
        expect(statSync(file).mode & 0o777).toBe(0o600)
      }
      // What has come in the place of the file meanwhile is no record.
      const { answered, port } = yield* greetingServer
      const waiting = yield* startCli("info", "--record", file, `nbd://127.0.0.1:${port}`)
      yield* answered
      unlinkSync(file)
      writeFileSync(file, "something else")
      yield* waiting.kill("SIGINT")
      expect((yield* waiting.ended).stderr).toContain("is no record")
      expect(readFileSync(file, "utf8")).toBe("something else")
    }))

  it.scopedLive("is not written over anything else, and is not begun where it cannot be", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const image = join(directory, "disk.img")
      writeFileSync(image, "a disk")
      const uri = `nbd://127.0.0.1:${yield* freePort}`
      const other = yield* cli("info", "--record", image, uri)
      expect(other).toMatchObject({
        code: 1,
        stderr: `effect-nbd: --record ${image}: the file is there, and is no record\n`
      })
      expect(readFileSync(image, "utf8")).toBe("a disk")
      const pipe = join(directory, "pipe")
      yield* succeed("mkfifo", pipe)
      const stuck = yield* cli("info", "--record", pipe, uri)
      expect(stuck).toMatchObject({ code: 1, stderr: expect.stringContaining("is no record") })
      const nowhere = yield* cli("serve", "--port=0", "--record", join(directory, "none", "record.txt"))
      expect(nowhere).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("(ENOENT)") })
    }))
})

describe("sessions", () => {
  const pipe = Effect.sync(() => MemoryPipe.make())

  it.scoped("are recorded sixteen at a time, each when it is over", () =>
    Effect.gen(function*() {
      const file = join(yield* folder, "record.txt")
      const session = yield* Record.sessions(Option.some(file), (connection) =>
        Effect.zipRight(Effect.sync(() => connection.write([Uint8Array.of(1)])), Effect.never))
      const running = yield* Effect.replicateEffect(
        Effect.flatMap(pipe, ({ server }) =>
          Effect.fork(session(server))),
        17
      )
      yield* Effect.yieldNow()
      yield* Fiber.interruptAll(running)
      expect(Transcript.bytesFrom("server", load(`${file}.16`))).toEqual(Uint8Array.of(1))
      expect(existsSync(`${file}.17`)).toBe(false)
      yield* Effect.flatMap(pipe, ({ server }) => Effect.fork(session(server))).pipe(
        Effect.tap(() => Effect.yieldNow()),
        Effect.flatMap(Fiber.interrupt)
      )
      expect(load(`${file}.17`).remarks).toEqual(["effect-nbd --record: session 17, with memory client"])
    }))
})

describe("without a file", () => {
  it.effect("connections are left as they are", () =>
    Effect.gen(function*() {
      const transport: Transport["Type"] = { target: "nowhere", open: Effect.never }
      expect(yield* Record.during(Option.none(), (recording) => Effect.succeed(recording(transport)))).toBe(transport)
      const session = () => Effect.void
      expect(yield* Record.sessions(Option.none(), session)).toBe(session)
    }))
})

/**
 * `npm start`: the main job, on a server that comes along; `npm start -- URI`: a look at a server of yours, which is only
 * read from.
 *
 * @since 0.1.0
 */
import * as Handle from "@effect-nbd/core/Handle"
import { Transport } from "@effect-nbd/core/Transport"
import * as CommandTransport from "@effect-nbd/node/CommandTransport"
import * as NodeTransport from "@effect-nbd/node/NodeTransport"
import * as TcpTransport from "@effect-nbd/node/TcpTransport"
import * as NbdServer from "@effect-nbd/server/NbdServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Command from "@effect/platform/Command"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Copy from "./Copy.ts"
import * as ExportConnections from "./ExportConnections.ts"
import { type Fault, ofCause, oneLine } from "./Failure.ts"
import * as FileEnd from "./FileEnd.ts"
import * as Info from "./Info.ts"
import * as InfoReport from "./InfoReport.ts"
import * as Listener from "./Listener.ts"
import * as NbdEnd from "./NbdEnd.ts"
import { complain, print } from "./Output.ts"
import * as Paint from "./Paint.ts"
import * as ProgressBar from "./ProgressBar.ts"
import * as Size from "./Size.ts"
import * as Target from "./Target.ts"

const program = fileURLToPath(new URL("../bin/effect-nbd.js", import.meta.url))
const exportSize = 67_108_864

class MismatchError extends Data.TaggedError("MismatchError")<{ readonly what: string }> {
  override get message(): string {
    return `${this.what} are not the bytes that were written`
  }
}

const say = (title: string, text: string) => print(`  ${title.padEnd(12)}${text}\n`)

const verify = (what: string, found: Uint8Array, expected: Uint8Array) =>
  Buffer.compare(found, expected) === 0 ? Effect.void : Effect.fail(new MismatchError({ what }))

/** The states of a handle from now on, until it is over. */
const watch = (handle: Handle.Observable) =>
  Effect.gen(function*() {
    const begun = yield* Deferred.make<void>()
    const states = handle.changes.pipe(
      Stream.tap(() => Deferred.succeed(begun, undefined)),
      Stream.map(({ _tag }) => _tag),
      Stream.takeUntil((tag) => tag === "ShutDown" || tag === "Dead")
    )
    const watching = yield* Effect.fork(Stream.runCollect(states))
    yield* Deferred.await(begun)
    return watching
  })

/** What an application does with a handle, one line for each step, and the states the handle goes through. */
const mainJob = <E, R>(andThen: (written: Uint8Array) => Effect.Effect<void, E, R>) =>
  Effect.gen(function*() {
    const handle = yield* Handle.make()
    const states = yield* watch(handle)
    yield* handle.connect
    const agreed = yield* handle.agreed
    const known = yield* handle.exportInfo
    yield* say(
      "negotiated",
      `${agreed.protocol}, ${agreed.replyStyle.toLowerCase()} replies, ${Size.rounded(known.size)}`
    )

    const bytes = randomBytes(4_194_304)
    const pieces = Array.from({ length: 16 }, (_, index) => index * 262_144)
    const at = (offset: number) => bytes.subarray(offset, offset + 262_144)
    yield* Effect.forEach(pieces, (offset) => handle.write(BigInt(offset), at(offset)), { concurrency: "unbounded" })
    yield* handle.flush
    yield* say("wrote", `${Size.rounded(bytes.byteLength)} in 16 requests at once, then flushed`)

    const read = yield* handle.read(0n, bytes.byteLength)
    yield* verify("what was read", read, bytes)
    yield* say("read back", `${Size.rounded(read.byteLength)} in one request: the same bytes`)

    const refusal = yield* Effect.flip(handle.read(known.size - 512n, 1024)).pipe(
      Effect.mapError(() => new MismatchError({ what: "what was read past the end" }))
    )
    yield* say("refused", `${refusal._tag}: ${refusal.message}`)

    yield* andThen(bytes)
    yield* handle.shutdown
    yield* say("states", Array.from(yield* Fiber.join(states)).join(" -> "))
  })

const overCommand = Effect.gen(function*() {
  const args = ["serve", "--stdio", `--size=${exportSize}`]
  yield* print("Over the standard input and output of a command\n")
  yield* say("command", `effect-nbd ${args.join(" ")}`)
  yield* Effect.scoped(mainJob(() => Effect.void)).pipe(
    Effect.provide(CommandTransport.layer(Command.make(process.execPath, program, ...args)))
  )
})

const overTcp = Effect.gen(function*() {
  yield* print("\nOver TCP\n")
  const server = yield* NbdServer.make({ exports: [{ name: "", size: exportSize }] })
  const address = yield* Listener.listen({ _tag: "Tcp", host: "127.0.0.1", port: 0 }, server.serve)
  if (address._tag !== "Tcp") return yield* Effect.dieMessage("a TCP listener is not one")
  yield* say("server", `${yield* Listener.uriOf(address, "")}, in this process`)
  yield* Effect.scoped(mainJob((written) => Effect.scoped(copyToFile(written)))).pipe(
    Effect.provide(TcpTransport.layer(address))
  )
})

const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-nbd-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** Through a second connection to the same export. */
const copyToFile = (written: Uint8Array) =>
  Effect.gen(function*() {
    const handle = yield* Handle.connect()
    const file = join(yield* folder, "copy")
    const sink = yield* FileEnd.sink(file, { from: undefined, allocated: false, inPlace: false })
    const source = NbdEnd.source(yield* ExportConnections.only(handle, handle.peer))
    yield* ProgressBar.withBar(
      canvas,
      handle.export.size,
      (onCopied) => Copy.copy(source, sink, { onCopied })
    )
    const copied = yield* Effect.promise(() => readFile(file))
    yield* verify("the first bytes of the file", copied.subarray(0, written.byteLength), written)
    yield* verify(
      "the other bytes of the file",
      copied.subarray(written.byteLength),
      Buffer.alloc(exportSize - written.byteLength)
    )
    yield* say("", "the file has the same bytes")
    yield* handle.shutdown
  })

/** The bar on a terminal; elsewhere its closing line alone. */
const canvas: ProgressBar.Canvas = {
  write: (text) => {
    if (!text.startsWith("\r")) process.stdout.write(`  ${"copy".padEnd(12)}${text}`)
    else if (process.stdout.isTTY) process.stdout.write(text)
  },
  columns: () => process.stdout.columns || 80
}

/** Facts and first bytes of an export. Nothing is written. */
const inspect = (uri: string) =>
  Effect.gen(function*() {
    const found = yield* Info.ofExport(yield* Target.ofUri(uri, "30 seconds"), { content: false })
    yield* print(InfoReport.toText(found, Paint.plain))
    const { exportName, transport } = yield* NodeTransport.fromUri(uri)
    const handle = yield* Effect.provideService(Handle.connect({ exportName }), Transport, transport)
    const wanted = Math.max(64, handle.export.minimumBlockSize)
    const length = handle.export.size < BigInt(wanted) ? Number(handle.export.size) : wanted
    if (length === 0) return yield* print("  it is empty\n")
    const bytes = yield* handle.read(0n, length)
    yield* print(
      `  first bytes: ${Buffer.from(bytes.subarray(0, 64)).toString("hex").replace(/(.{8})(?!$)/g, "$1 ")}\n`
    )
    yield* handle.shutdown
  })

const [uri] = process.argv.slice(2)

const demo: Effect.Effect<void, Fault> = uri === undefined
  ? Effect.zipRight(overCommand, Effect.scoped(overTcp))
  : Effect.scoped(inspect(uri))

NodeRuntime.runMain(
  demo.pipe(
    Effect.tapErrorCause((cause) =>
      Cause.isInterruptedOnly(cause) ? Effect.void : complain(`effect-nbd: ${oneLine(ofCause(cause).message)}\n`)
    )
  ),
  {
    disableErrorReporting: true,
    teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : Cause.isInterruptedOnly(exit.cause) ? 130 : 1)
  }
)

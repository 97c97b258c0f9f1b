/** One client with one fake server, in memory: all options and all kinds of requests, in each style there is. */
import { Handle } from "@effect-nbd/core"
import type { HandleConfig } from "@effect-nbd/core/HandleConfig"
import { FakeServer, MemoryPipe, Misbehaviour } from "@effect-nbd/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { another, certificate, meet, type Server } from "./Cases.ts"
import type { Program } from "./Program.ts"
import { Watch } from "./Watch.ts"

/** A way of speaking: what the server offers, and how the client goes about it. */
export interface Style {
  readonly name: string
  readonly server: Partial<FakeServer.FakeServerConfig>
  readonly handle: HandleConfig
}

/** The first three are the styles of replies. */
export const styles: ReadonlyArray<Style> = [
  { name: "simple", server: { structuredReplies: false }, handle: {} },
  { name: "structured", server: { extendedHeaders: false }, handle: {} },
  { name: "extended", server: {}, handle: {} },
  { name: "oldstyle", server: { protocol: "oldstyle" }, handle: { exportName: "" } },
  { name: "export name", server: { noZeroes: false, structuredReplies: false }, handle: { forceExportName: true } },
  {
    name: "TLS",
    server: { tls: { mode: "Allow", settings: certificate }, structuredReplies: false },
    handle: { tls: { mode: "Allow" } }
  }
]

/** How haggling ends. */
export type Way = "go" | "abort"

const contexts = ["base:allocation", "qemu:dirty-bitmap:b0"]
const content = Uint8Array.from({ length: 4096 }, (_, index) => (index * 7 + (index >> 8)) & 0xff)
const disk = { name: "disk", size: 1_048_576, content, dirtyBitmaps: [{ name: "b0" }], description: "a disk" }

/** Of whoever asks, where nobody else has a time limit. */
const patience = "5 seconds"

const anything = { commands: false, flags: false, bounds: false, zeroSize: false, align: false, payload: false }

/** The requests leave together, so that a reply that is fatal keeps none of the others from being answered. */
const program = (style: Style, way: Way, watch: Watch): Program => {
  const config: HandleConfig = {
    exportName: "disk",
    optMode: true,
    requestStructuredReplies: false,
    requestExtendedHeaders: false,
    requestMetaContexts: false,
    tls: { mode: "Disable" },
    strictness: anything,
    ...style.handle
  }
  const { exportName = "" } = config
  return {
    config,
    run: (_, seen, judge) =>
      Effect.gen(function*() {
        const handle = yield* Handle.make(config)
        const attempt = (step: Effect.Effect<unknown, unknown>) => Effect.map(Effect.exit(step), judge)
        judge(yield* Effect.exit(handle.connect))
        yield* attempt(handle.structuredReplies)
        if (style.name === "extended") yield* attempt(handle.extendedHeaders)
        yield* attempt(handle.list)
        yield* attempt(handle.info(exportName))
        yield* attempt(handle.listMetaContexts({ exportName, queries: [] }))
        yield* attempt(handle.setMetaContexts({ exportName, contexts }))
        if (way === "abort") return yield* Effect.as(attempt(handle.abort), [])
        yield* attempt(handle.go(exportName))

        const read = (offset: bigint, length: number) =>
          Effect.tap(handle.read(offset, length), (bytes) => Effect.sync(() => seen({ offset, bytes })))
        const requests: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
          read(0n, 128),
          handle.readStructured(512n, 128, { df: true }),
          handle.write(131_072n, new Uint8Array(128).fill(7)),
          handle.writeZeroes(262_144n, 512),
          handle.flush,
          handle.blockStatus(0n, 65_536),
          handle.blockStatus(0n, 4096, { reqOne: true }),
          read(1024n, 64)
        ]
        const givenUp = Effect.map(handle.state, ({ _tag }) => {
          if (_tag === "Dead") watch.fault("a request waits although the connection is dead")
        })
        const asked = (request: Effect.Effect<unknown, unknown>) =>
          Effect.flatMap(
            Effect.timeoutOption(request, patience),
            Option.match({ onNone: () => givenUp, onSome: () => Effect.void })
          )
        yield* Effect.forEach(requests, (request) => attempt(asked(request)), {
          concurrency: "unbounded",
          discard: true
        })
        // It waits for what is owed.
        yield* attempt(Effect.timeoutOption(handle.shutdown, patience))
        return []
      })
  }
}

/** Their session does not see its client leave: it does not listen, or has not said all that it has to say. */
const isStaying = ({ name }: Misbehaviour.Misbehaviour): boolean => name === "deafServer" || name === "greetingDrip"

/** It goes on to serve others, and the session is over when its client has left. */
const serving = (style: Style, misbehaviours: ReadonlyArray<Misbehaviour.Misbehaviour>, watch: Watch): Server =>
  Effect.map(
    FakeServer.make({ exports: [disk], delivery: MemoryPipe.whole, ...style.server, misbehaviours }),
    (fake) => ({
      transport: FakeServer.transport(fake),
      left: Effect.gen(function*() {
        if (misbehaviours.some(isStaying)) yield* fake.killAll
        yield* fake.awaitSessions(0)
        const other = yield* Effect.exit(another(fake))
        if (Exit.isFailure(other)) watch.fault(`another client is refused: ${String(other.cause)}`)
      })
    })
  )

/** What is wrong with what becomes of it; nothing, as it should be. */
export const talk = async (
  style: Style,
  way: Way,
  misbehaviours: ReadonlyArray<Misbehaviour.Misbehaviour>
): Promise<ReadonlyArray<string>> => {
  const watch = new Watch()
  watch.isTimed = true
  const { faults } = await meet(true, watch, program(style, way, watch), serving(style, misbehaviours, watch))
  return faults
}

/** Something that the server says, and when. */
export interface Said {
  readonly speech: Misbehaviour.Speech
  readonly moment: Misbehaviour.Moment
}

/** All that the server says in a style, where nothing is broken. */
export const overheard = async (style: Style): Promise<ReadonlyArray<Said>> => {
  const said: Array<Said> = []
  const listener = Misbehaviour.make({
    name: "listener",
    rule: "none",
    sentence: "The server keeps to the rules.",
    reaction: "Tolerated",
    place: { session: 1 },
    change: (speech, moment) => {
      said.push({ speech, moment })
      return undefined
    }
  })
  const faults = [...await talk(style, "go", [listener]), ...await talk(style, "abort", [listener])]
  if (faults.length > 0) throw new Error(faults.join("\n"))
  return said
}

/**
 * One case: a transcript of which one side is played, whatever it says, against this library as the other.
 *
 * As server: the client does what the transcript's client did, through a handle. As client: the fake server serves. Or the
 * client meets a fake server that misbehaves. Either may fail as it likes; but nothing may throw, hang, stay behind, or
 * tell what was never said.
 */
import { Handle } from "@effect-nbd/core"
import { FrameReader } from "@effect-nbd/core/framing/FrameReader"
import { type Connection, Transport } from "@effect-nbd/core/Transport"
import { FakeServer, MemoryPipe, Misbehaviour, ScriptedServer, Transcript } from "@effect-nbd/testing"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { type Program, programOf, type Read } from "./Program.ts"
import { turns, Watch } from "./Watch.ts"

export interface Case {
  /** The side that is played. */
  readonly side: Transcript.Side
  readonly transcript: Transcript.Transcript
  /** How bytes are cut, and whether commands are sent together. */
  readonly seed: number
  /**
   * By name: then the fake server is the server, and breaks the rules in these ways, in this order. `name@3` does so once,
   * the third time that it can.
   */
  readonly misbehaviours?: ReadonlyArray<string>
}

export interface Verdict {
  /** What happened, in words: other words, other ways through the code. */
  readonly outcomes: ReadonlyArray<string>
  /** None, if all is well. */
  readonly faults: ReadonlyArray<string>
}

const deliveryOf = (seed: number): MemoryPipe.Delivery =>
  seed === 0 ? MemoryPipe.whole : seed === 1 ? MemoryPipe.bytes : MemoryPipe.random(seed)

const isConcurrent = (seed: number): boolean => seed % 2 === 1

export const certificate = { credentials: { _tag: "Psk", keyOf: () => Redacted.make(new Uint8Array(16)) } } as const

/** Takes what the other side says, for as long as it goes on saying something; it may say nothing at all. */
const listen = (reader: FrameReader): Effect.Effect<void> =>
  Effect.gen(function*() {
    for (let waits = 0; waits < 3 && reader.ended === undefined;) {
      if (reader.buffered === 0) {
        yield* turns(1)
        waits++
      } else {
        yield* Effect.ignore(reader.take(reader.buffered))
        waits = 0
      }
    }
  })

/** Goes on under TLS, if the other side has a mind to. */
const encrypt = <E>(reader: FrameReader, upgrade: Effect.Effect<Connection, E>): Effect.Effect<void> =>
  upgrade.pipe(
    Effect.map((inside) => reader.goOnOver(inside)),
    Effect.raceFirst(turns(6)),
    Effect.ignore
  )

/** Plays the server's side, whether or not the client says what it should. */
const impatient = (
  transcript: Transcript.Transcript,
  watch: Watch,
  began: (reader: FrameReader) => void
): ScriptedServer.Script =>
(server) =>
  Effect.gen(function*() {
    began(server.reader)
    for (const event of transcript.events) {
      if (event._tag === "Cut") return yield* Effect.never
      if (event._tag === "TlsBegan") {
        yield* encrypt(server.reader, server.reader.connection.acceptTls?.(certificate) ?? Effect.never)
      } else if (event._tag === "Ended") {
        if (event.from === "client") continue
        watch.peerEnded = true
        return yield* event.how === "Finished" ? server.end : server.sever
      } else if (event.from === "client") yield* listen(server.reader)
      else yield* server.send(event.bytes)
    }
    watch.peerEnded = true
  })

/** The server that a client meets, and what is looked at when the client has left. */
export type Server = Effect.Effect<
  { readonly transport: Context.Tag.Service<Transport>; readonly left: Effect.Effect<void> },
  never,
  Scope.Scope
>

/** The client does what the program says, its commands one after another or together. */
export const meet = async (
  concurrent: boolean,
  watch: Watch,
  program: Program,
  server: Server
): Promise<Verdict> => {
  const reads: Array<Read> = []
  const exit = await watch.settle(Effect.scoped(Effect.gen(function*() {
    const { left, transport } = yield* server
    const recording = Transcript.record(watch.over(transport))
    const outcomes = yield* program.run(concurrent, (read) => void reads.push(read), (exit) => watch.judge(exit))
      .pipe(Effect.scoped, Effect.provideService(Transport, recording.transport))
    yield* left
    return { outcomes, recorded: (yield* recording.transcripts)[0] }
  })))
  if (exit === undefined || Exit.isFailure(exit)) return { outcomes: ["none"], faults: watch.faults }
  const { outcomes, recorded } = exit.value
  if (recorded !== undefined) { for (const read of reads) checkRead(read, recorded, watch) }
  return { outcomes, faults: watch.faults }
}

const asServer = (one: Case): Promise<Verdict> => {
  const watch = new Watch()
  const program = programOf(one.transcript)
  const readers: Array<FrameReader> = []
  const script = impatient(one.transcript, watch, (reader) => void readers.push(reader))
  // Whoever is under TLS, or has stopped to read, does not see the end.
  const left = Effect.gen(function*() {
    for (const reader of program.config.tls?.mode === "Disable" ? readers : []) {
      if (reader.buffered < 65_536 && !(yield* endsSoon(reader))) watch.fault("the connection is left open")
    }
  })
  const server = Effect.map(
    ScriptedServer.make(script, { delivery: deliveryOf(one.seed) }),
    (transport) => ({ transport, left })
  )
  return meet(isConcurrent(one.seed), watch, program, server)
}

/** The fake server of the transcript's style, with the manners that the case names. */
const asMisbehaving = (one: Case): Promise<Verdict> => {
  const { misbehaviours = [], seed, transcript } = one
  const server = Effect.map(
    FakeServer.make({
      ...styleOf(transcript),
      exports,
      delivery: deliveryOf(seed),
      misbehaviours: misbehaviours.flatMap(misbehaviourOf)
    }),
    (fake) => ({ transport: FakeServer.transport(fake), left: Effect.void })
  )
  return meet(isConcurrent(seed), new Watch(), programOf(transcript), server)
}

const misbehaviourOf = (text: string): ReadonlyArray<Misbehaviour.Misbehaviour> => {
  const [wanted, nth] = text.split("@")
  const found = Misbehaviour.all.filter(({ name }) => name === wanted)
  return nth === undefined ? found : found.map((one) => Misbehaviour.at(one, { nth: Number(nth), times: 1 }))
}

const endsSoon = (reader: FrameReader): Effect.Effect<boolean> =>
  Effect.gen(function*() {
    for (let left = 100; left > 0 && reader.ended === undefined; left--) yield* turns(1)
    return reader.ended !== undefined
  })

/** Every byte that a read gave back is one that the server had sent for it. */
const checkRead = ({ bytes, offset }: Read, recorded: Transcript.Transcript, watch: Watch): void => {
  const { client, server } = Transcript.annotate(recorded)
  const sent = Transcript.bytesFrom("server", recorded)
  // A reply may begin to come in the turn in which its request leaves, and is noise to whoever looks at one of them first.
  if (server.some(({ kind }) => kind === "unknown bytes")) return
  const value = (message: Transcript.Message, name: string): string =>
    message.fields.find((field) => field.name === name)?.value.split(" ")[0] ?? ""
  const wanted = [value, `${offset}`, `${bytes.byteLength}`] as const
  const isLegal = client.some((request) => {
    if (value(request, "command") !== "0" || value(request, "offset") !== wanted[1]) return false
    if (value(request, "length") !== wanted[2]) return false
    const replies = server.filter((reply) => value(reply, "cookie") === value(request, "cookie"))
    const legal = Array.from({ length: bytes.byteLength }, (): number => -1)
    for (const reply of replies) {
      const data = reply.fields.find(({ name }) => name === "data")
      // A reply to an extended request has the request's offset in its header: the last one is the payload's.
      const offsets = reply.fields.filter(({ name }) => name === "offset")
      const at = reply.kind === "simple reply" ? 0 : Number(BigInt(offsets.at(-1)?.value ?? "0") - offset)
      const hole = Number(value(reply, "hole size"))
      for (let index = 0; index < hole; index++) legal[at + index] = 0
      if (data !== undefined) sent.subarray(data.start, data.end).forEach((byte, index) => (legal[at + index] = byte))
      // What comes behind the final reply is another breach, and nobody's data.
      if (reply.kind === "simple reply" || value(reply, "reply flags") === "0x0001") break
    }
    return bytes.every((byte, index) => byte === legal[index])
  })
  if (!isLegal) watch.fault("a read gave back what the server never sent")
}

export const exports = [{ name: "disk", size: 1_048_576, dirtyBitmaps: [{ name: "b0" }], description: "a disk" }]

const styleOf = (transcript: Transcript.Transcript): Partial<FakeServer.FakeServerConfig> => ({
  ...(Transcript.bytesFrom("server", transcript)[8] === 0 ? { protocol: "oldstyle" } : {}),
  ...(hasTls(transcript) ? { tls: { mode: "Allow", settings: certificate } } : {})
})

const hasTls = ({ events }: Transcript.Transcript): boolean => events.some(({ _tag }) => _tag === "TlsBegan")

/** Says what the client said, whatever the server says. */
const asClient = async ({ seed, transcript }: Case): Promise<Verdict> => {
  const watch = new Watch()
  const exit = await watch.settle(Effect.scoped(Effect.gen(function*() {
    const fake = yield* FakeServer.make({
      ...styleOf(transcript),
      exports,
      delivery: deliveryOf(seed),
      extendedHeaders: seed % 3 !== 0
    })
    const recording = Transcript.record(watch.over(FakeServer.transport(fake)))
    yield* Effect.scoped(Effect.flatMap(recording.transport.open, (connection) => speak(transcript, connection)))
    yield* fake.awaitSessions(0)
    const ends = yield* fake.ends
    const violations = yield* fake.violations
    const others = yield* Effect.exit(hasTls(transcript) ? Effect.void : another(fake))
    if (Exit.isFailure(others)) watch.fault(`another client is refused: ${String(others.cause)}`)
    return { outcomes: [...ends.map(({ ending }) => ending._tag), ...violations.map(({ rule }) => rule)], recording }
  })))
  if (exit === undefined || Exit.isFailure(exit)) return { outcomes: ["none"], faults: watch.faults }
  const [recorded] = await Effect.runPromise(exit.value.recording.transcripts)
  if (recorded !== undefined) checkServer(recorded, watch)
  return { outcomes: exit.value.outcomes, faults: watch.faults }
}

const speak = (transcript: Transcript.Transcript, connection: Connection): Effect.Effect<void> =>
  Effect.gen(function*() {
    const reader = new FrameReader(connection)
    for (const event of transcript.events) {
      if (event._tag === "Cut") break
      else if (event._tag === "TlsBegan") {
        yield* encrypt(reader, Effect.flatten(reader.connection.prepareTls?.({ mode: "Require" }) ?? Effect.never))
      } else if (event._tag === "Bytes" && event.from === "server") yield* listen(reader)
      else if (event._tag === "Bytes") yield* reader.send([event.bytes])
      else if (event.from === "client" && event.how === "Broken") return
      else if (event.from === "client") reader.connection.endWrites()
    }
    yield* listen(reader)
  })

/** What one client did is no other's trouble. */
export const another = (fake: FakeServer.FakeServerService): Effect.Effect<unknown, unknown> =>
  Effect.scoped(Effect.flatMap(Handle.connect(), (disk) => disk.read(0n, 512))).pipe(
    Effect.provideService(Transport, FakeServer.transport(fake))
  )

/** Whatever a client says that can be told apart, what the server says can be told apart too. */
const checkServer = (recorded: Transcript.Transcript, watch: Watch): void => {
  const { client, server } = Transcript.annotate(recorded)
  if (client.some(({ kind }) => kind === "unknown bytes" || kind.endsWith("cut short"))) return
  // An option among requests is bytes that a server may take for anything.
  const first = client.findIndex(({ kind }) => kind.endsWith("request"))
  if (first >= 0 && client.slice(first).some(({ kind }) => kind === "option")) return
  const unknown = server.find(({ kind }) => kind === "unknown bytes")
  if (unknown !== undefined) watch.fault("the server said what nobody can read")
}

export const run = async (one: Case): Promise<Verdict> => {
  try {
    if (one.misbehaviours !== undefined) return await asMisbehaving(one)
    return await (one.side === "server" ? asServer(one) : asClient(one))
  } catch (thrown) {
    return {
      outcomes: ["none"],
      faults: [`the case threw: ${thrown instanceof Error ? thrown.stack : String(thrown)}`]
    }
  }
}

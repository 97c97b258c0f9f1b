import { FrameReader } from "@effect-nbd/core/framing/FrameReader"
import { Transport } from "@effect-nbd/core/Transport"
import { encodeText } from "@effect-nbd/core/wire/Bytes"
import { encodeOption, optionCode } from "@effect-nbd/core/wire/NbdOption"
import { replyType } from "@effect-nbd/core/wire/OptionReply"
import { ServedExport } from "@effect-nbd/server"
import { FakeServer, MemoryPipe, Misbehaviour, Steering } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { connect, filled, RawClient, requestBytes, transmitting } from "./fixtures/RawClient.ts"

const size = 1_048_576
const config = { exports: [{ name: "disk", size }] }

const cookies = (client: RawClient, count: number) =>
  Effect.map(Effect.all(Array.from({ length: count }, () => client.simple())), (all) => all.map(({ cookie }) => cookie))

describe("steering", () => {
  it.scoped("a delayed reply lets later ones pass; its write takes effect at once (S-071)", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      const client = yield* transmitting(server, false)
      yield* server.onRequest(({ command }) => command === "WRITE" ? Steering.delay("10 seconds") : Steering.proceed)
      yield* client.request("WRITE", { cookie: 1, payload: filled(3, 7) })
      yield* client.request("READ", { cookie: 2, length: 3 })
      expect(yield* client.simple(3)).toEqual({ error: 0, cookie: 2n, data: filled(3, 7) })
      const later = yield* Effect.fork(client.simple())
      yield* TestClock.adjust("9 seconds")
      expect(yield* Fiber.poll(later)).toMatchObject({ _tag: "None" })
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(later)).toMatchObject({ error: 0, cookie: 1n })
    }))

  it.scoped("delays of different lengths turn the order of replies round", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      const client = yield* transmitting(server, false)
      yield* server.onRequest(({ cookie }) => Steering.delay(`${10 - Number(cookie)} seconds`))
      for (const cookie of [1, 2, 3]) yield* client.request("FLUSH", { cookie })
      yield* server.awaitRequests(3)
      yield* TestClock.adjust("1 minute")
      expect(yield* cookies(client, 3)).toEqual([3n, 2n, 1n])
    }))

  it.scoped("requests are held and released, all or some, in order of arrival", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      const client = yield* transmitting(server, false)
      yield* server.hold
      for (const cookie of [1, 2, 3, 4]) yield* client.request("FLUSH", { cookie })
      yield* server.awaitRequests(4)
      expect((yield* server.held).map(({ cookie }) => cookie)).toEqual([1n, 2n, 3n, 4n])
      expect(yield* server.releaseWhere(({ cookie }) => cookie === 3n)).toBe(1)
      expect(yield* cookies(client, 1)).toEqual([3n])
      yield* server.release
      yield* client.request("FLUSH", { cookie: 5 })
      expect(yield* cookies(client, 4)).toEqual([1n, 2n, 4n, 5n])
      expect(yield* server.held).toEqual([])
    }))

  it.scoped("no more than maxPending requests wait: the next one is not read", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ ...config, maxPending: 2 })
      const client = yield* transmitting(server, false)
      yield* server.hold
      for (let cookie = 1; cookie <= 5; cookie++) yield* client.request("FLUSH", { cookie })
      yield* server.awaitRequests(3)
      yield* TestClock.adjust("1 second")
      expect((yield* server.requests).length).toBe(3)
      yield* server.release
      const answered = yield* cookies(client, 5)
      expect(answered.slice(0, 2)).toEqual([1n, 2n])
      expect(answered.toSorted((a, b) => Number(a - b))).toEqual([1n, 2n, 3n, 4n, 5n])
    }))

  it.scoped("a request can hang while its neighbours are answered; a handler may be an effect", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      const client = yield* transmitting(server, false)
      const asked = yield* Deferred.make<Steering.Action>()
      yield* server.onRequest(({ cookie }) => cookie === 1n ? Deferred.await(asked) : Steering.proceed)
      yield* client.request("WRITE", { cookie: 1, payload: filled(1, 1) })
      yield* client.request("FLUSH", { cookie: 2 })
      yield* server.awaitRequests(1)
      yield* Deferred.succeed(asked, Steering.hang)
      expect(yield* cookies(client, 1)).toEqual([2n])
      expect(yield* server.exportBytes("disk", 0n, 1)).toEqual(filled(1, 0))
      yield* server.onRequest(undefined)
      yield* client.request("FLUSH", { cookie: 1 })
      expect(yield* cookies(client, 1)).toEqual([1n])
    }))

  it.scoped("a request can break its connection, and another one goes on", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      const client = yield* transmitting(server, false)
      const other = yield* transmitting(server, false)
      yield* server.onRequest(({ session }) => session === 1 ? Steering.drop : Steering.proceed)
      yield* client.request("FLUSH")
      expect(yield* client.end()).toEqual({ _tag: "Broken", unread: 0 })
      yield* other.request("FLUSH")
      expect(yield* other.simple()).toMatchObject({ error: 0 })
      expect(yield* server.ends).toEqual([{ session: 1, ending: { _tag: "Killed" } }])
    }))
})

describe("ends", () => {
  it.scoped("S-092: DISC finishes what is outstanding, has no reply, and ends in order", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      const client = yield* transmitting(server, false)
      yield* server.hold
      yield* client.request("FLUSH", { cookie: 1 })
      yield* client.request("DISC", { cookie: 2 })
      yield* server.awaitRequests(2)
      yield* TestClock.adjust("1 minute")
      expect(yield* server.sessions).toBe(1)
      yield* server.release
      expect(yield* cookies(client, 1)).toEqual([1n])
      expect(yield* client.end()).toEqual({ _tag: "Finished", unread: 0 })
      client.reader.connection.close()
      yield* server.awaitSessions(0)
      expect(yield* server.ends).toEqual([{ session: 1, ending: { _tag: "Disconnected" } }])
    }))

  it.scoped("what is held is answered once its client has disconnected and ended its half", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      const client = yield* transmitting(server, false)
      const gone = yield* transmitting(server, false)
      const other = yield* transmitting(server, false)
      yield* server.hold
      for (const each of [client, gone, other]) yield* each.request("FLUSH", { cookie: 1 })
      for (const each of [client, gone]) yield* each.request("DISC", { cookie: 2 })
      yield* server.awaitRequests(5)
      gone.reader.connection.close()
      yield* server.awaitSessions(2)
      client.reader.connection.endWrites()
      expect(yield* cookies(client, 1)).toEqual([1n])
      yield* server.awaitSessions(1)
      expect((yield* server.held).map(({ session }) => session)).toEqual([3])
      expect((yield* server.ends).map(({ ending }) => ending._tag)).toEqual(["Disconnected", "Disconnected"])
    }))

  it.scoped("a client that disconnects and then breaks off is not waited for", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      const pipe = MemoryPipe.make()
      const session = yield* Effect.fork(FakeServer.serve(server, pipe.server))
      const client = new RawClient(new FrameReader(pipe.client))
      yield* client.greet()
      yield* client.exportName("disk")
      yield* server.hold
      yield* client.request("FLUSH", { cookie: 1 })
      yield* client.request("DISC", { cookie: 2 })
      yield* server.awaitRequests(2)
      pipe.reset()
      yield* Fiber.join(session)
      expect(yield* server.held).toEqual([])
    }))

  it.scoped("a client that ends its half without DISC is let go at once, held requests or not", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      const client = yield* transmitting(server, false)
      yield* server.hold
      yield* client.request("FLUSH", { cookie: 1 })
      yield* server.awaitRequests(1)
      client.reader.connection.close()
      yield* server.awaitSessions(0)
      expect(yield* server.held).toEqual([])
      expect(yield* server.ends).toMatchObject([{ ending: { _tag: "ClientLeft", end: { _tag: "Finished" } } }])
    }))

  it.scoped("S-093: disconnectAll fails what is pending with ESHUTDOWN, in order, and then ends", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      const client = yield* transmitting(server, false)
      const haggling = yield* connect(server)
      yield* haggling.greet()
      yield* server.onRequest(({ cookie }) => cookie === 1n ? Steering.delay("1 day") : Steering.hold)
      for (const cookie of [1, 2]) yield* client.request("FLUSH", { cookie })
      yield* server.awaitRequests(2)
      yield* server.disconnectAll
      expect(yield* client.simple()).toMatchObject({ error: 108, cookie: 1n })
      expect(yield* client.simple()).toMatchObject({ error: 108, cookie: 2n })
      expect(yield* client.end()).toEqual({ _tag: "Finished", unread: 0 })
      client.reader.connection.close()
      // The other client stays: it is given five seconds, and again to end its side.
      yield* server.awaitSessions(1)
      yield* TestClock.adjust("5 seconds")
      expect(yield* haggling.end()).toEqual({ _tag: "Finished", unread: 0 })
      yield* TestClock.adjust("5 seconds")
      yield* server.awaitSessions(0)
      expect((yield* server.ends).map(({ ending }) => ending._tag)).toEqual(["ShutDown", "ShutDown"])
    }))

  it.scoped("S-020: while shutting down every option but ABORT is ERR_SHUTDOWN", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      const client = yield* connect(server)
      yield* client.greet()
      const other = yield* connect(server)
      yield* other.greet()
      yield* server.disconnectAll
      yield* TestClock.adjust("1 second")
      const shutDown = [{ _tag: "ErrorReply", type: replyType.ERR_SHUTDOWN, message: expect.any(String) }]
      for (const option of ["LIST", "GO", "STRUCTURED_REPLY", "STARTTLS", 99] as const) {
        expect(yield* client.option(option)).toEqual(shutDown)
      }
      expect(yield* client.option("ABORT")).toEqual([{ _tag: "Ack" }])
      yield* other.send(encodeOption(optionCode.EXPORT_NAME, encodeText("disk")))
      expect(yield* other.end()).toEqual({ _tag: "Finished", unread: 0 })
      client.reader.connection.close()
      yield* server.awaitSessions(0)
      expect((yield* server.ends).map(({ ending }) => ending._tag).toSorted()).toEqual(["Aborted", "ExportRefused"])
    }))

  it.scoped("a client that does not enter an export in time is closed on, and one that did is not", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ ...config, handshakeTimeout: "10 seconds" })
      const silent = yield* connect(server)
      const talkative = yield* connect(server)
      yield* talkative.greet()
      const good = yield* transmitting(server, false)
      yield* TestClock.adjust("9 seconds")
      yield* talkative.option("LIST")
      expect(yield* server.sessions).toBe(3)
      yield* TestClock.adjust("1 second")
      yield* server.awaitSessions(1)
      yield* silent.take(18)
      for (const client of [silent, talkative]) expect(yield* client.end()).toMatchObject({ unread: 0 })
      expect((yield* server.ends).map(({ ending }) => ending._tag)).toEqual(["HandshakeTimedOut", "HandshakeTimedOut"])
      yield* good.request("FLUSH")
      expect(yield* good.simple()).toMatchObject({ error: 0 })
    }))

  it.scoped("where all places are taken, the client that haggles longest is displaced; or the new one is turned away", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ ...config, maxSessions: 2 })
      const [oldest, silent] = [yield* connect(server), yield* connect(server)]
      yield* oldest.greet()
      const good = yield* transmitting(server, false)
      yield* Effect.flip(oldest.take(1000))
      const other = yield* transmitting(server, false)
      yield* Effect.flip(silent.take(1000))
      const flushed = Effect.forEach(
        [good, other],
        (client) => Effect.zipRight(client.request("FLUSH"), client.simple())
      )
      yield* flushed
      const late = yield* connect(server)
      expect(yield* Effect.flip(late.greet())).toMatchObject({ _tag: "NbdStreamEnded" })
      expect((yield* server.ends).map(({ ending, session }) => [session, ending._tag])).toEqual([
        [1, "Displaced"],
        [2, "Displaced"],
        [5, "TurnedAway"]
      ])
      yield* flushed
      // Who has asked to leave keeps nobody out, though the connection is there yet.
      yield* good.request("DISC")
      yield* server.awaitEnds(4)
      yield* transmitting(server, false)
      yield* server.awaitSessions(2)
    }))

  it.scoped("killAll breaks a connection in the middle of a reply", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ exports: [{ name: "disk", size: 2 ** 26 }] })
      const client = yield* transmitting(server, false)
      yield* client.request("READ", { length: 16_777_216 })
      expect((yield* client.take(16)).byteLength).toBe(16)
      yield* client.take(100_000)
      yield* server.killAll
      const { _tag, unread } = yield* client.end()
      expect(_tag).toBe("Broken")
      expect(unread).toBeLessThan(16_777_216 - 100_000)
      yield* server.awaitSessions(0)
      yield* transmitting(server, false)
    }))

  it.scoped("closing the scope of open closes that connection alone", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      yield* transmitting(server, true)
      const scope = yield* Scope.make()
      yield* Scope.extend(transmitting(server, true), scope)
      expect(yield* server.sessions).toBe(2)
      yield* Scope.close(scope, Exit.void)
      yield* server.awaitSessions(1)
      expect(yield* server.ends).toMatchObject([{ session: 2, ending: { _tag: "ClientLeft" } }])
    }))

  it.scoped("closing the server's scope ends its sessions", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const server = yield* Scope.extend(FakeServer.make(config), scope)
      const client = yield* transmitting(server, true)
      yield* server.hold
      yield* client.request("FLUSH")
      yield* server.awaitRequests(1)
      yield* Scope.close(scope, Exit.void)
      expect(yield* client.end()).toEqual({ _tag: "Finished", unread: 0 })
      expect(yield* server.sessions).toBe(0)
    }))

  it.scoped("a client that takes no replies is not served without bound, and can be killed", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      const connection = yield* server.open
      const reader = new FrameReader(connection)
      const client = new RawClient(reader)
      yield* client.greet()
      yield* client.exportName("disk")
      connection.receive({ onBytes: () => false, onEnd: () => {}, onDrain: () => {} })
      for (let cookie = 1; cookie <= 20; cookie++) {
        connection.write([requestBytes("READ", { cookie, length: 262_144 })])
      }
      yield* TestClock.adjust("1 second")
      const arrived = (yield* server.requests).length
      expect(arrived).toBeGreaterThan(0)
      expect(arrived).toBeLessThan(4)
      yield* server.killAll
      yield* server.awaitSessions(0)
    }))
})

describe("what a test gives it and dies breaks the connection, and the session's end and the log have the cause", () => {
  const ought = (): never => {
    throw new Error("ought to be 4096")
  }
  const failing = (moment: Misbehaviour.Moment["_tag"]) =>
    Misbehaviour.make({
      name: "of the test",
      rule: "our own",
      sentence: "It dies.",
      reaction: "Connection",
      moment,
      change: ought
    })
  const onRequest = (handler: Steering.Handler) => (server: FakeServer.FakeServerService) => server.onRequest(handler)
  const misbehave =
    (moment: Misbehaviour.Moment["_tag"], handler?: Steering.Handler) => (server: FakeServer.FakeServerService) =>
      Effect.zipRight(server.onRequest(handler), server.misbehave([failing(moment)]))
  const cases: ReadonlyArray<readonly [string, (server: FakeServer.FakeServerService) => Effect.Effect<void>]> = [
    ["a handler that throws", onRequest(ought)],
    ["a handler whose effect dies", onRequest(() => Effect.die(new Error("ought to be 4096")))],
    ["a misbehaviour that throws", misbehave("Answer")],
    ["one that throws with the session's end", misbehave("Farewell")],
    ["one that throws when a held request is answered", misbehave("Answer", () => Steering.delay("1 second"))]
  ]

  it.scoped.each(cases)("%s", ([, prepare]) =>
    Effect.gen(function*() {
      const logged: Array<string> = []
      const logger = Logger.make(({ cause, logLevel, message }) => {
        logged.push(`${logLevel.label} ${String(message)} ${Cause.pretty(cause)}`)
      })
      const server = yield* FakeServer.make(config)
      yield* Effect.provide(
        Effect.gen(function*() {
          const client = yield* transmitting(server, false)
          yield* prepare(server)
          yield* client.request("FLUSH")
          yield* client.request("DISC")
          const ends = yield* Effect.fork(server.awaitEnds(1))
          yield* TestClock.adjust("1 second")
          const [end] = yield* Fiber.join(ends)
          expect(end?.ending._tag).toBe("Died")
          if (end?.ending._tag === "Died") expect(Cause.pretty(end.ending.cause)).toContain("ought to be 4096")
          yield* server.awaitSessions(0)
        }),
        Logger.replace(Logger.defaultLogger, logger)
      )
      expect(logged).toEqual([
        expect.stringMatching(/^ERROR a session of the server died.*ought to be 4096/s)
      ])
    }))

  it.scoped("a handler that is interrupted says so too, and other sessions go on", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      const [client, other] = [yield* transmitting(server, false), yield* transmitting(server, false)]
      yield* server.onRequest(({ session }) => session === 1 ? Effect.interrupt : Steering.proceed)
      yield* client.request("FLUSH")
      expect((yield* server.awaitEnds(1)).map(({ ending }) => ending._tag)).toEqual(["Died"])
      yield* other.request("FLUSH", { cookie: 9 })
      expect(yield* other.simple()).toMatchObject({ error: 0, cookie: 9n })
    }))
})

describe("bad clients are written down, closed on, and hurt nobody else", () => {
  const flags = Uint8Array.of(0, 0, 0, 3)
  const go = Uint8Array.from([...flags, ...encodeOption(optionCode.GO, Uint8Array.of(0, 0, 0, 0, 0, 0))])
  const header = requestBytes("WRITE", { length: 10 })
  const cases: ReadonlyArray<readonly [string, Uint8Array, string]> = [
    ["client flags of 0xffffffff", Uint8Array.of(255, 255, 255, 255), "S-007"],
    ["no option magic", Uint8Array.from([...flags, ...filled(16, 0x47)]), "Newstyle negotiation"],
    [
      "option data of 0xffffffff bytes",
      Uint8Array.from([...flags, ...encodeOption(0x99, new Uint8Array(0)).slice(0, 12), 255, 255, 255, 255]),
      "S-018"
    ],
    [
      "a name of 4097 bytes",
      Uint8Array.from([...flags, ...encodeOption(optionCode.EXPORT_NAME, filled(4097, 97))]),
      "S-018"
    ],
    ["no request magic", Uint8Array.from([...go, ...filled(28, 0x47)]), "Request message"],
    [
      "a WRITE of 0xffffffff bytes",
      Uint8Array.from([...go, ...requestBytes("WRITE", { length: 0xffff_ffff })]),
      "NBD_CMD_WRITE, S-057"
    ],
    ["client flags cut short", flags.slice(0, 2), "Client flags, S-007"],
    ["an option header cut short", Uint8Array.from([...flags, 73]), "Option request, C-022"],
    ["option data cut short", go.slice(0, -1), "NBD_OPT_GO, C-022"],
    ["option data missing", go.slice(0, -6), "NBD_OPT_GO, C-022"],
    ["a request header cut short", Uint8Array.from([...go, ...header.slice(0, 27)]), "Request header"],
    ["a payload cut short", Uint8Array.from([...go, ...header, ...filled(9, 1)]), "NBD_CMD_WRITE, C-139"],
    ["a payload missing", Uint8Array.from([...go, ...header]), "NBD_CMD_WRITE, C-139"]
  ]
  it.scoped.each(cases)("%s", ([, sent, rule]) =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      const good = yield* transmitting(server, true)
      const bad = yield* connect(server)
      yield* bad.send(sent)
      bad.reader.connection.endWrites()
      yield* bad.end()
      yield* server.awaitSessions(1)
      expect(yield* server.violations).toMatchObject([{ session: 2, rule, fatal: true }])
      expect(yield* server.ends).toMatchObject([{ session: 2, ending: { _tag: "Misbehaved", violation: { rule } } }])
      yield* good.request("FLUSH")
      expect((yield* good.chunk()).type).toBe(0)
    }))

  it.scoped("closing on unread bytes shows as a reset, as with TCP", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ ...config, delivery: MemoryPipe.bytes })
      const bad = yield* connect(server)
      yield* bad.send(filled(100, 255))
      expect((yield* bad.end())._tag).toBe("Broken")
    }))
})

describe("the service", () => {
  it.effect("the Layer provides the Transport and itself; opening again is another session", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.FakeServer
      const { open, target } = yield* Transport
      expect(target).toBe("fake server")
      yield* open
      yield* open
      yield* server.awaitSessions(2)
    }).pipe(Effect.scoped, Effect.provide(FakeServer.layer(config))))

  const disk = { name: "disk", size }
  const faults: ReadonlyArray<readonly [string, Partial<FakeServer.FakeServerConfig>]> = [
    ["the export \"disk\" has -1 bytes", { exports: [{ name: "disk", size: -1 }] }],
    ["the export \"\" has 18446744073709551616 bytes", { exports: [disk, { name: "", size: 2n ** 64n }] }],
    ["the export \"disk\" has 1.5 bytes", { exports: [{ name: "disk", size: 1.5 }] }],
    ["the export \"disk\" has NaN bytes", { exports: [{ name: "disk", size: NaN }] }],
    ["the export \"disk\" has -1 bytes", { exports: [ServedExport.make({ name: "disk", size: -1n })] }],
    ["there are several exports called \"disk\"", { exports: [disk, { name: "", size }, ServedExport.make(disk)] }],
    [
      "the export \"disk\": there are several meta contexts called \"qemu:dirty-bitmap:a\"",
      { exports: [{ ...disk, dirtyBitmaps: [{ name: "a" }, { name: "b" }, { name: "a" }] }] }
    ],
    [
      "the export \"disk\": a string may have 4096 bytes, and one of its has 4098",
      { exports: [{ ...disk, description: "ü".repeat(2049) }] }
    ],
    ["maxPending is 0; it has to be a whole number from 1", { maxPending: 0 }],
    ["memory is NaN; it has to be a whole number from 1", { memory: NaN }]
  ]
  it.effect.each(faults)("a configuration is a defect where %s", ([message, wrong]) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.provide(Effect.void, FakeServer.layer({ ...config, ...wrong })))
      expect(exit._tag === "Failure" && [...Cause.defects(exit.cause)]).toMatchObject([
        { message: expect.stringContaining(`fake server: ${message}`) }
      ])
    }))

  it.scoped("the largest export there can be is served", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({
        exports: [{ name: "disk", size: 2n ** 64n - 1n }, { name: "none", size: 0 }]
      })
      const client = yield* transmitting(server, false)
      yield* client.request("READ", { offset: 2n ** 64n - 3n, length: 2 })
      expect(yield* client.simple(2)).toMatchObject({ error: 0 })
    }))

  it.scoped("a disk given as such is shared with the test", () =>
    Effect.gen(function*() {
      const disk = ServedExport.make({ name: "disk", size })
      const server = yield* FakeServer.make({ exports: [disk] })
      yield* disk.write(5n, filled(2, 9))
      expect(yield* server.exportBytes("disk", 4n, 4)).toEqual(Uint8Array.of(0, 9, 9, 0))
      expect(server.exports.get("disk")).toBe(disk)
    }))

  it.scoped("S-014: what one connection wrote, another one reads", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      const [one, two] = [yield* transmitting(server, false), yield* transmitting(server, false)]
      yield* one.request("WRITE", { payload: encodeText("hello") })
      yield* one.simple()
      yield* two.request("READ", { length: 5 })
      expect((yield* two.simple(5)).data).toEqual(encodeText("hello"))
    }))

  it.scoped("the record keeps the newest entries, and counts all", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ ...config, history: 3 })
      const client = yield* transmitting(server, false)
      for (let cookie = 1; cookie <= 10; cookie++) yield* client.request("FLUSH", { cookie })
      expect((yield* server.awaitRequests(10)).map(({ cookie }) => cookie)).toEqual([8n, 9n, 10n])
    }))

  it.scoped("connections can be refused for a while", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      yield* server.refuseConnections(true)
      expect(yield* Effect.flip(server.open)).toMatchObject({ _tag: "NbdConnectionRefusedError" })
      yield* server.refuseConnections(false)
      yield* transmitting(server, false)
      expect((yield* server.requests).length).toBe(0)
    }))

  it.scoped("serving is interruptible, and closes the connection", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      const pipe = MemoryPipe.make()
      const session = yield* Effect.fork(FakeServer.serve(server, pipe.server))
      const client = new RawClient(new FrameReader(pipe.client))
      yield* client.greet()
      yield* client.exportName("disk")
      yield* Fiber.interrupt(session)
      expect(yield* client.end()).toEqual({ _tag: "Finished", unread: 0 })
      expect(yield* server.ends).toEqual([{ session: 1, ending: { _tag: "Killed" } }])
    }))
})

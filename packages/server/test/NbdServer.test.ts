/** A plain server over a connection in memory, with each of its ports. */
import * as Memory from "@effect-nbd/block/Memory"
import { Handle } from "@effect-nbd/core"
import { Transport } from "@effect-nbd/core/Transport"
import { type Decider, NbdServer, Observer, type Speaker } from "@effect-nbd/server"
import { MemoryPipe } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

const size = 1_048_576n

const made = (ports: Partial<NbdServer.ServerConfig> = {}) =>
  Effect.flatMap(Memory.make({ size }), (device) =>
    Effect.map(
      NbdServer.make({ exports: [{ name: "disk", device }], ...ports }),
      (server) => ({ device, server })
    ))

/** The Transport whose connections the server serves. */
const transportTo = (server: NbdServer.NbdServerService) =>
  Layer.succeed(Transport, {
    target: "server",
    closeTimeout: 0,
    open: Effect.flatMap(MemoryPipe.open({ name: "server" }), (pipe) =>
      Effect.as(Effect.forkScoped(Effect.interruptible(server.serve(pipe.server))), pipe.client))
  })

const connected = (server: NbdServer.NbdServerService) =>
  Effect.provide(Handle.connect({ exportName: "disk", metaContexts: ["base:allocation"] }), transportTo(server))

it.scoped("serves a block device: what it offers, its bytes and its extents", () =>
  Effect.gen(function*() {
    const { device, server } = yield* made()
    const disk = yield* connected(server)
    const { canCache, canFastZero, canFlush, canFua, canMultiConn, canTrim, canWriteZeroes, isReadOnly } = disk.export
    expect(disk.export.size).toBe(size)
    expect([isReadOnly, canMultiConn, canCache]).toEqual([false, false, false])
    expect([canFlush, canFua, canTrim, canWriteZeroes, canFastZero]).toEqual([true, true, true, true, true])
    yield* disk.write(65_536n, new Uint8Array(4096).fill(7), { fua: true })
    yield* disk.flush
    expect(yield* device.read(65_536n, 4096)).toEqual(new Uint8Array(4096).fill(7))
    expect([...(yield* disk.read(65_534n, 4)).values()]).toEqual([0, 0, 7, 7])
    const [status] = yield* disk.blockStatus(0n, Number(size))
    expect([...status ?? []].map(({ flags, length }) => [length, flags])).toEqual([
      [65_536n, 3n],
      [65_536n, 0n],
      [size - 131_072n, 3n]
    ])
    yield* disk.writeZeroes(65_536n, 65_536n)
    expect(yield* Stream.runCount(device.extents())).toBe(1)
    expect(yield* server.sessions).toBe(1)
    yield* server.disconnectAll
  }))

it.effect("a configuration that cannot be served is an error with the reason", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(NbdServer.make({ exports: [{ name: "a", size: 1 }, { name: "a", size: 1 }] }))
    expect(error).toMatchObject({ _tag: "NbdServerConfigError", reason: "there are several exports called \"a\"" })
  }))

describe("its ports", () => {
  it.scoped("the observer is told of options, requests and the end, in order", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const observer: Observer.Observer = {
        ...Observer.none,
        opened: (session) => void told.push(`opened ${session}`),
        option: ({ name }) => void told.push(name),
        request: (_, { command }) => void told.push(`command ${command}`),
        ended: (_, { _tag }) => void told.push(_tag)
      }
      const { server } = yield* made({ observer })
      const disk = yield* connected(server)
      yield* disk.flush
      yield* disk.shutdown
      while (!told.includes("Disconnected")) yield* Effect.yieldNow()
      expect(told[0]).toBe("opened 1")
      expect(told.filter((text) => !text.startsWith("NBD_OPT_"))).toEqual([
        "opened 1",
        "command 3",
        "command 2",
        "Disconnected"
      ])
      expect(told).toContain("NBD_OPT_GO")
    }))

  it.scoped("the decider fails the request that it wants to, and no other", () =>
    Effect.gen(function*() {
      const decider: Decider.Decider = {
        decide: (_, { offset }) =>
          offset === 512n ? Effect.succeed({ _tag: "Fail", errno: "ENOSPC", message: "not there" }) : undefined,
        release: () => {},
        forget: () => {}
      }
      const { server } = yield* made({ decider })
      const disk = yield* connected(server)
      expect(yield* Effect.flip(disk.read(512n, 512))).toMatchObject({ errno: "ENOSPC", serverMessage: "not there" })
      expect(yield* disk.read(0n, 512)).toEqual(new Uint8Array(512))
    }))

  it.scoped("the speaker sends every byte, and may break the connection instead", () =>
    Effect.gen(function*() {
      const moments: Array<string> = []
      const speaking: Speaker.Speaking = ({ send, sever }) => ({
        isMute: false,
        isDeaf: false,
        say: (parts, moment) => {
          const { _tag } = moment()
          moments.push(_tag)
          if (_tag !== "Answer") return Effect.as(send(parts), undefined)
          return Effect.as(Effect.sync(sever), { refuses: false })
        }
      })
      const { server } = yield* made({ speaking })
      const disk = yield* connected(server)
      expect(yield* Effect.flip(disk.read(0n, 512))).toMatchObject({ _tag: "NbdCommandLostError" })
      expect(moments.slice(0, 2)).toEqual(["Greeting", "OptionAnswer"])
      expect(moments.at(-1)).toBe("Answer")
    }))
})

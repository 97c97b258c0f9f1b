import { Transport } from "@effect-nbd/core/Transport"
import * as NodeTransport from "@effect-nbd/node/NodeTransport"
import { describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as path from "node:path"
import { folder, listen, record } from "./Peers.ts"

const refusal = (uri: string, options?: NodeTransport.Options) =>
  Effect.flip(Effect.provide(Effect.asVoid(Transport), NodeTransport.layerUri(uri, options)))

describe("fromUri", () => {
  it.scopedLive("finds the transport and the export name of a URI", () =>
    Effect.gen(function*() {
      const file = path.join(yield* folder, "nbd.sock")
      yield* listen((socket) => socket.end("hello"), { path: file })
      const uri = `nbd+unix:////disk%201?socket=${encodeURIComponent(file)}`
      const { exportName, transport } = yield* NodeTransport.fromUri(uri)
      expect([exportName, transport.exportName, transport.target]).toStrictEqual(["/disk 1", "/disk 1", `unix ${file}`])
      const layered = yield* Effect.provide(Transport, NodeTransport.layerUri(uri))
      const recorder = record(yield* layered.open)
      yield* recorder.ended
      expect(recorder.text).toBe("hello")
      expect((yield* NodeTransport.fromUri("nbd://[::1]/x")).transport.target).toBe("tcp [::1]:10809")
    }))

  it.effect("refuses what it cannot do", () =>
    Effect.gen(function*() {
      expect(yield* refusal("nbds://server/")).toMatchObject({ _tag: "NbdUriUnsupportedError", scheme: "nbds" })
      const vsock = yield* refusal("nbd+vsock://al:secret@2/")
      expect(vsock).toMatchObject({
        _tag: "NbdUriUnsupportedError",
        scheme: "nbd+vsock",
        uri: "nbd+vsock://al:<redacted>@2/"
      })
      expect(vsock.message).toBe("cannot use this nbd+vsock URI: Node.js has no vsock sockets")
      expect(yield* refusal("nbd://server:0/")).toMatchObject({ _tag: "NbdUriError", part: "0" })
    }))

  it.effect("refuses what is not permitted, before anything else", () =>
    Effect.gen(function*() {
      expect(yield* refusal("nbd+ssh://server/")).toMatchObject({ _tag: "NbdUriNotPermittedError", part: "nbd+ssh" })
      expect(yield* refusal("nbds://server/?tls-psk-file=/nowhere")).toMatchObject({
        _tag: "NbdUriNotPermittedError",
        part: "tls-psk-file"
      })
      expect(yield* refusal("nbd://server/", { policy: { transports: ["Unix"] } })).toMatchObject({
        _tag: "NbdUriNotPermittedError",
        part: "nbd"
      })
    }))
})

describe("layerUriConfig", () => {
  const configured = (entries: ReadonlyArray<readonly [string, string]>) =>
    Effect.provide(
      Transport,
      Layer.provide(
        NodeTransport.layerUriConfig(Config.string("NBD_URI"), { policy: { transports: ["Tcp"] } }),
        Layer.setConfigProvider(ConfigProvider.fromMap(new Map(entries)))
      )
    )

  it.effect("takes the URI from configuration", () =>
    Effect.gen(function*() {
      const { exportName, target } = yield* configured([["NBD_URI", "nbd://server/disk"]])
      expect([target, exportName]).toStrictEqual(["tcp server:10809", "disk"])
      expect(yield* Effect.flip(configured([]))).toMatchObject({ _op: "MissingData", path: ["NBD_URI"] })
      expect(yield* Effect.flip(configured([["NBD_URI", "server"]]))).toMatchObject({ _tag: "NbdUriError" })
      expect(yield* Effect.flip(configured([["NBD_URI", "nbd+unix:///?socket=/s"]]))).toMatchObject({
        _tag: "NbdUriNotPermittedError"
      })
    }))
})

import * as NbdUri from "@effect-nbd/core/NbdUri"
import { Transport } from "@effect-nbd/core/Transport"
import * as CommandTransport from "@effect-nbd/node/CommandTransport"
import * as NodeTransport from "@effect-nbd/node/NodeTransport"
import * as SocketActivationTransport from "@effect-nbd/node/SocketActivationTransport"
import * as SshTransport from "@effect-nbd/node/SshTransport"
import * as TcpTransport from "@effect-nbd/node/TcpTransport"
import * as UnixTransport from "@effect-nbd/node/UnixTransport"
import * as Command from "@effect/platform/Command"
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

  it.effect("says which TLS a URI asks for", () =>
    Effect.gen(function*() {
      const tlsOf = (uri: string, options?: NodeTransport.Options) =>
        Effect.map(NodeTransport.fromUri(uri, options), ({ transport }) => transport.tls)
      const credentials = { _tag: "X509" } as const
      const options = { credentials, policy: { unverifiedPeer: true, transports: ["Tcp", "Ssh"] } } as const
      expect(yield* tlsOf("nbd://al@server/", options)).toBeUndefined()
      expect(yield* tlsOf("nbds://server/", options)).toStrictEqual({
        mode: "Require",
        credentials,
        hostname: undefined,
        verification: "ChainAndName"
      })
      expect(yield* tlsOf("nbds+ssh://server/", options)).toMatchObject({ mode: "Require", hostname: "server" })
      expect(yield* tlsOf("nbds+ssh://server/?tls-hostname=nbd.example", options)).toMatchObject({
        hostname: "nbd.example"
      })
      for (const query of ["tls-hostname=a", "tls-type=x509", "tls-verify-peer=no"]) {
        expect(yield* tlsOf(`nbd://server/?${query}`, options)).toMatchObject({ mode: "Allow", credentials })
      }
      expect(yield* tlsOf("nbd://server/?tls-verify-peer=no", options)).toMatchObject({
        verification: "AcceptAnyCertificate"
      })
    }))

  it.effect("refuses what it cannot do", () =>
    Effect.gen(function*() {
      expect(yield* refusal("nbds://server/?tls-type=anon")).toMatchObject({
        _tag: "NbdUriUnsupportedError",
        scheme: "nbds"
      })
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

describe("uri", () => {
  it.effect("is there of transports that can be named", () =>
    Effect.gen(function*() {
      const uriOf = ({ uri }: Transport["Type"]) => uri === undefined ? Effect.succeed(undefined) : NbdUri.format(uri)
      const uris = [
        [TcpTransport.make({ host: "server" }), "nbd://server:10809/"],
        [TcpTransport.make({ host: "[::1]", port: "nbd" }), "nbd://[::1]:10809/"],
        [TcpTransport.make({ host: "server", port: "010810" }), "nbd://server:10810/"],
        [TcpTransport.make({ host: "server", port: "http" }), undefined],
        [UnixTransport.make({ path: "/run/a b&c" }), "nbd+unix:///?socket=/run/a%20b%26c"],
        [
          yield* SshTransport.make({ host: "server", compress: true }),
          "nbd+ssh://server/?nbd-port=10809&compress=true"
        ],
        [CommandTransport.make(Command.make("nbdkit")), undefined],
        [SocketActivationTransport.make(Command.make("nbdkit")), undefined],
        [
          (yield* NodeTransport.fromUri("NBD://al@server/a%20b?x-a=b")).transport,
          "nbd://al@server:10809/a%20b"
        ]
      ] as const
      for (const [transport, uri] of uris) expect(yield* uriOf(transport)).toBe(uri)
      const outOfRange = TcpTransport.make({ host: "server", port: 0 })
      expect(yield* Effect.flip(uriOf(outOfRange))).toMatchObject({ _tag: "NbdUriUnwritableError", part: "port" })
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

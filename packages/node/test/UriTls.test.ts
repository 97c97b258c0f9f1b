/**
 * TLS as URIs ask for it, from nbdkit.
 */
import { Handle, NbdUri } from "@effect-nbd/core"
import { NodeTransport } from "@effect-nbd/node"
import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as path from "node:path"
import { Pki, pkiLayer, type PkiMaker } from "./Pki.ts"
import { folder, freePort, has, listening } from "./RealServers.ts"
import { certificates, requirePsk, requireTls } from "./TlsPeers.ts"

const memory = ["memory", "1M"]

/** A server, and a URI of it with some TLS. */
const unix = (args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const socket = path.join(yield* folder, "socket")
    yield* listening("nbdkit", ["-f", "-U", socket, ...args, ...memory], { path: socket })
    return uriOf({ _tag: "Unix", path: socket })
  })

const uriOf = (transport: NbdUri.UriTransport) => (tls: Partial<NbdUri.UriTls>): Effect.Effect<string> =>
  Effect.orDie(NbdUri.format({ ...NbdUri.of(transport), tls: { ...NbdUri.noTls, ...tls } }))

/** The URI that a connected handle gives itself, and the other way round what it failed with. */
const outcome = (uri: string, options: NodeTransport.Options = {}) =>
  Handle.connect().pipe(
    Effect.flatMap(({ uri }) => uri),
    Effect.scoped,
    Effect.provide(NodeTransport.layerUri(uri, options)),
    Effect.merge
  )

const files: NodeTransport.Options = { policy: { localFiles: true } }
const unverified: NodeTransport.Options = { policy: { unverifiedPeer: true } }

const inGood = (pki: PkiMaker, more: Partial<NbdUri.UriTls> = {}): Partial<NbdUri.UriTls> => ({
  required: true,
  credentials: { _tag: "X509", directory: pki.path("good") },
  ...more
})

describe.skipIf(!has("nbdkit") || !has("certtool") || !has("psktool"))("a URI", () => {
  layer(pkiLayer, { excludeTestServices: true })("of a server with TLS", (it) => {
    it.scoped("names certificates and the server (C-240)", () =>
      Effect.gen(function*() {
        const pki = yield* Pki
        const uri = yield* unix([...requireTls(pki), "--tls-verify-peer"])
        const meant = yield* uri(inGood(pki, { hostname: "nbd.example" }))
        expect(meant).toMatch(/^nbds\+unix:\/\/\/\?socket=.*&tls-certificates=.*&tls-hostname=nbd\.example$/)
        expect(yield* outcome(meant, files)).toBe(meant)
        expect(yield* outcome(yield* uri(inGood(pki, { hostname: "other.example" })), files)).toMatchObject({
          _tag: "NbdTlsVerificationError",
          check: "Name",
          hostname: "other.example"
        })
        expect(yield* outcome(yield* uri(inGood(pki)), files)).toMatchObject({
          _tag: "NbdTlsVerificationError",
          check: "Name"
        })
      }))

    it.scoped("is verified by its host over TCP", () =>
      Effect.gen(function*() {
        const pki = yield* Pki
        const port = yield* freePort
        const args = ["-f", "-i", "127.0.0.1", "-p", `${port}`, ...requireTls(pki), ...memory]
        yield* listening("nbdkit", args, { host: "127.0.0.1", port })
        const uri = yield* uriOf({ _tag: "Tcp", host: "127.0.0.1", port })(inGood(pki))
        expect(yield* outcome(uri, files)).toBe(uri)
      }))

    it.scoped("may switch verification off, where the policy allows it", () =>
      Effect.gen(function*() {
        const uri = yield* unix(requireTls(yield* Pki, "stranger"))
        const trusting = yield* uri({ required: true, hostname: "nbd.example" })
        expect(yield* outcome(trusting)).toMatchObject({ _tag: "NbdTlsVerificationError", check: "Authority" })
        const careless = yield* uri({ required: true, verifyPeer: false })
        expect(yield* outcome(careless)).toMatchObject({ _tag: "NbdUriNotPermittedError", part: "tls-verify-peer" })
        expect(yield* outcome(careless, unverified)).toBe(careless)
      }))

    it.scoped("names a user and a file of keys (C-238)", () =>
      Effect.gen(function*() {
        const pki = yield* Pki
        const uri = yield* unix(requirePsk(pki))
        const file = pki.path("psk", "keys.psk")
        const alice = yield* uri({ required: true, username: "alice", credentials: { _tag: "Psk", file } })
        expect(yield* outcome(alice, files)).toBe(alice)
        const carol = yield* uri({ required: true, username: "carol", credentials: { _tag: "Psk", file } })
        expect(yield* outcome(carol, files)).toMatchObject({ _tag: "NbdTlsCredentialsError", part: "Psk", file })
        const given = yield* uri({ required: true, credentials: { _tag: "Psk", file: undefined } })
        expect(given).toContain("tls-type=psk")
        expect(yield* outcome(given, { credentials: pki.psk("bob") })).toBe(given)
        expect(yield* outcome(given)).toMatchObject({ _tag: "NbdTlsCredentialsError", part: "Psk" })
      }))

    it.scoped("fails where there is no TLS, if it requires it (C-234)", () =>
      Effect.gen(function*() {
        const uri = yield* unix(["--tls=off"])
        expect(yield* outcome(yield* uri({ required: true, hostname: "nbd.example" }))).toMatchObject({
          _tag: "NbdTlsUnavailableError",
          why: "Refused"
        })
      }))

    it.scoped("takes what there is, if it has parameters for TLS and does not require it", () =>
      Effect.gen(function*() {
        const pki = yield* Pki
        const tls = inGood(pki, { required: false, hostname: "nbd.example" })
        const without = yield* unix(["--tls=off"])
        expect(yield* outcome(yield* without(tls), files)).toBe(yield* without(tls))
        const withTls = yield* unix(["--tls=on", ...certificates(pki, "good")])
        expect(yield* outcome(yield* withTls(tls), files)).toBe(yield* withTls({ ...tls, required: true }))
        expect(yield* outcome(yield* withTls({}))).toBe(yield* withTls({}))
        expect(yield* outcome(yield* withTls({ ...tls, hostname: "other.example" }), files)).toMatchObject({
          _tag: "NbdTlsVerificationError"
        })
      }))

    it.scoped("fails before anything is opened, if its files cannot be read", () =>
      Effect.gen(function*() {
        const pki = yield* Pki
        const uri = uriOf({ _tag: "Unix", path: "/nowhere" })
        const directory = pki.path("psk")
        const missing = yield* uri({ required: true, credentials: { _tag: "X509", directory } })
        expect(yield* outcome(missing, files)).toMatchObject({ _tag: "NbdTlsCredentialsError" })
        expect(yield* outcome(missing)).toMatchObject({ _tag: "NbdUriNotPermittedError", part: "tls-certificates" })
      }))
  })
})

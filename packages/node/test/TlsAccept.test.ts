/**
 * The server's side of TLS: which clients it lets in, and what both sides are told when it does not.
 */
import type { Identity, ServerX509, TlsSettings } from "@effect-nbd/core/Tls"
import * as DuplexConnection from "@effect-nbd/node/DuplexConnection"
import * as TlsCredentials from "@effect-nbd/node/TlsCredentials"
import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { record } from "./Peers.ts"
import { Pki, pkiLayer } from "./Pki.ts"
import { has } from "./RealServers.ts"
import { plain, prepared } from "./TlsPairs.ts"

/** What becomes of both sides when the client speaks, and the server answers once it has heard it. */
const meet = (server: ServerX509, settings: TlsSettings) =>
  Effect.gen(function*() {
    const { connection, raw } = yield* plain("unix")
    const theirs = DuplexConnection.fromStreams({ readable: raw, writable: raw, peer: "client" })
    const client = Effect.gen(function*() {
      const encrypted = yield* prepared(connection, settings)
      const recorder = record(encrypted)
      encrypted.write([Buffer.from("option")])
      yield* recorder.until(() => recorder.received > 0 || recorder.ends.length > 0)
      const [end] = recorder.ends
      encrypted.close()
      return end === undefined ? recorder.text : yield* Effect.fail(end._tag === "Broken" ? end.error : end)
    })
    const serve = Effect.gen(function*() {
      const encrypted = yield* theirs.acceptTls?.({ credentials: server }) ?? Effect.dieMessage("no TLS")
      const recorder = record(encrypted)
      yield* recorder.until(() => recorder.received === 6 || recorder.ends.length > 0)
      encrypted.write([Buffer.from("reply")])
      yield* recorder.ended
      encrypted.close()
      return recorder.text
    })
    const outcomes = yield* Effect.all({ client: Effect.either(client), server: Effect.either(serve) }, {
      concurrency: 2
    })
    theirs.close()
    return outcomes
  }).pipe(Effect.scoped)

const served = { client: { _tag: "Right", right: "reply" }, server: { _tag: "Right", right: "option" } }
const refused = (check: string) => ({
  client: { _tag: "Left", left: { _tag: "NbdTlsHandshakeError", by: "Server", peer: "server" } },
  server: { _tag: "Left", left: { _tag: "NbdTlsVerificationError", check, peer: "client" } }
})

/** One that shows none has not come as far as being verified. */
const unshown = {
  ...refused("Authority"),
  server: { left: { _tag: "NbdTlsHandshakeError", by: "Server", code: "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE" } }
}

describe.skipIf(!has("certtool"))("a server", () => {
  layer(pkiLayer, { excludeTestServices: true })((it) => {
    const table = [
      ["Ignore", undefined, served],
      ["Ignore", "stranger", served],
      ["Request", undefined, served],
      ["Request", "good", served],
      ["Request", "stranger", refused("Authority")],
      ["Require", undefined, unshown],
      ["Require", "good", served],
      ["Require", "stranger", refused("Authority")]
    ] as const
    const cases = table.flatMap(([asked, shown, outcome]) =>
      (["TLSv1.2", "TLSv1.3"] as const).map((version) => [asked, shown ?? "none", version, shown, outcome] as const)
    )
    it.effect.each(cases)("that says %s of certificates has a client that shows %s, under %s", (
      [clientCertificates, , maximumVersion, shown, outcome]
    ) =>
      Effect.gen(function*() {
        const pki = yield* Pki
        const server = yield* TlsCredentials.serverFromDirectory(pki.path("good"), { clientCertificates })
        const identities: ReadonlyArray<Identity> | undefined = shown && [pki.identity(shown, "client")]
        const credentials = { ...pki.trust("good"), identities }
        const settings: TlsSettings = { mode: "Require", hostname: "localhost", maximumVersion, credentials }
        expect(yield* meet(server, settings)).toMatchObject(outcome)
      }))

    it.effect("refuses a client whose certificate was revoked", () =>
      Effect.gen(function*() {
        const pki = yield* Pki
        pki.revoke("good", pki.path("clients.pem"), pki.path("good", "client-cert.pem"))
        const server = yield* TlsCredentials.serverFromDirectory(pki.path("good"), { clientCertificates: "Require" })
        const credentials = { ...pki.trust("good"), identities: [pki.identity("good", "client")] }
        const settings: TlsSettings = { mode: "Require", hostname: "localhost", credentials }
        const revocations = [pki.text("clients.pem")]
        expect(yield* meet({ ...server, revocations }, settings)).toMatchObject(refused("Revoked"))
      }))

    it.effect("is refused by a client for its name", () =>
      Effect.gen(function*() {
        const pki = yield* Pki
        const server = yield* TlsCredentials.serverFromDirectory(pki.path("misnamed"))
        const settings: TlsSettings = { mode: "Require", hostname: "localhost", credentials: pki.trust("good") }
        const { client } = yield* meet(server, settings)
        expect(client).toMatchObject({
          left: { _tag: "NbdTlsVerificationError", check: "Name", hostname: "localhost" }
        })
      }))
  })
})

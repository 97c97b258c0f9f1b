/**
 * TLS against real servers: what each mode comes to with each kind of server, and every check by its name.
 */
import { Handle } from "@effect-nbd/core"
import type { TlsMode, TlsSettings } from "@effect-nbd/core/Tls"
import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Pki, pkiLayer, type PkiMaker } from "./Pki.ts"
import { has, nbdkitCommand, nbdkitTcp, nbdkitUnix, qemuNbd } from "./RealServers.ts"
import { certificates, qemuPsk, qemuX509, requirePsk, requireTls, type Server, trusting } from "./TlsPeers.ts"

const memory = ["memory", "1M"]
const mebibyte = 1_048_576

const attempt = (server: Server, tls: TlsSettings) =>
  Effect.gen(function*() {
    const handle = yield* Handle.make({ tls })
    const outcome = yield* Effect.either(handle.connect)
    const state = yield* handle.state
    if (outcome._tag === "Left") {
      expect(state).toMatchObject({ _tag: "Dead", reason: { _tag: outcome.left._tag } })
      return outcome.left
    }
    yield* handle.write(0n, new Uint8Array(4096).fill(7))
    expect(yield* handle.read(0n, 4096)).toStrictEqual(new Uint8Array(4096).fill(7))
    const { tls: encrypted } = yield* handle.agreed
    yield* handle.shutdown
    return encrypted ? "TLS" as const : "plaintext" as const
  }).pipe(Effect.scoped, Effect.provide(server))

const versions = ["TLSv1.2", "TLSv1.3"] as const
const modes: ReadonlyArray<TlsMode> = ["Disable", "Allow", "Require"]

describe.skipIf(!has("nbdkit") || !has("certtool"))("TLS", () => {
  layer(pkiLayer, { excludeTestServices: true })("with real servers", (it) => {
    describe("modes", () => {
      const table: ReadonlyArray<readonly [string, (pki: PkiMaker) => Server, ReadonlyArray<string | object>]> = [
        ["refuses TLS", () => nbdkitUnix("--tls=off", ...memory), [
          "plaintext",
          "plaintext",
          { _tag: "NbdTlsUnavailableError", why: "Refused" }
        ]],
        ["has TLS", (pki) => nbdkitUnix("--tls=on", ...certificates(pki, "good"), ...memory), [
          "plaintext",
          "TLS",
          "TLS"
        ]],
        ["requires TLS", (pki) => nbdkitUnix(...requireTls(pki), ...memory), [
          { _tag: "NbdTlsRequiredError" },
          "TLS",
          "TLS"
        ]],
        ["is oldstyle", () => nbdkitUnix("-o", ...memory), [
          "plaintext",
          "plaintext",
          { _tag: "NbdTlsUnavailableError", why: "Oldstyle" }
        ]],
        ["is not fixed", () => nbdkitUnix("--mask-handshake=0", ...memory), [
          "plaintext",
          "plaintext",
          { _tag: "NbdTlsUnavailableError", why: "NotFixed" }
        ]],
        ["shows the wrong certificate", (pki) => nbdkitUnix("--tls=on", ...certificates(pki, "misnamed"), ...memory), [
          "plaintext",
          { _tag: "NbdTlsVerificationError", check: "Name" },
          { _tag: "NbdTlsVerificationError", check: "Name" }
        ]]
      ]
      it.scoped.each(table)(
        "C-065 C-071 C-073 C-074 C-085: a server that %s",
        ([, server, expected]) =>
          Effect.gen(function*() {
            const pki = yield* Pki
            const running = yield* Layer.build(server(pki))
            const outcomes = yield* Effect.forEach(
              modes,
              (mode) => attempt(Layer.succeedContext(running), trusting(pki, { mode }))
            )
            outcomes.forEach((outcome, index) => {
              const wanted = expected[index]
              if (typeof wanted === "string") expect([modes[index], outcome]).toStrictEqual([modes[index], wanted])
              else expect(outcome).toMatchObject(wanted ?? {})
            })
          })
      )
    })

    describe("names", () => {
      it.scoped("are the host's over TCP, and the settings' anywhere", () =>
        Effect.gen(function*() {
          const pki = yield* Pki
          const running = Layer.succeedContext(yield* Layer.build(nbdkitTcp(...requireTls(pki), ...memory)))
          // The host is 127.0.0.1, which the certificate is for too.
          expect(yield* attempt(running, trusting(pki, { hostname: undefined }))).toBe("TLS")
          for (const hostname of ["localhost", "nbd.example", "NBD.example.", "127.0.0.1", "::1", "[::1]"]) {
            expect([hostname, yield* attempt(running, trusting(pki, { hostname }))]).toStrictEqual([hostname, "TLS"])
          }
          for (const hostname of ["example", "x.nbd.example", "127.0.0.2", "::2", "server"]) {
            expect(yield* attempt(running, trusting(pki, { hostname }))).toMatchObject({
              _tag: "NbdTlsVerificationError",
              check: "Name",
              hostname: hostname
            })
          }
          expect(yield* attempt(running, trusting(pki, { hostname: "server", verification: "ChainOnly" }))).toBe("TLS")
        }))

      const nameless: ReadonlyArray<readonly [string, (pki: PkiMaker) => Server]> = [
        ["a Unix socket", (pki) => nbdkitUnix(...requireTls(pki), ...memory)],
        ["a command", (pki) => nbdkitCommand(...requireTls(pki), ...memory)]
      ]
      it.scoped.each(nameless)(
        "C-240: %s has none, and connects to nobody without one or the word that it does not matter",
        ([, server]) =>
          Effect.gen(function*() {
            const pki = yield* Pki
            const running = server(pki)
            expect(yield* attempt(running, trusting(pki, { hostname: undefined }))).toMatchObject({
              _tag: "NbdTlsVerificationError",
              check: "Name",
              hostname: undefined
            })
            expect(yield* attempt(running, trusting(pki))).toBe("TLS")
            expect(yield* attempt(running, trusting(pki, { hostname: undefined, verification: "ChainOnly" }))).toBe(
              "TLS"
            )
          })
      )
    })

    describe("H-068 a certificate", () => {
      const faults: ReadonlyArray<readonly [string, "Authority" | "Date" | "Name" | "Usage", string]> = [
        ["stranger", "Authority", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
        ["expired", "Date", "CERT_HAS_EXPIRED"],
        ["early", "Date", "CERT_NOT_YET_VALID"],
        ["misnamed", "Name", "ERR_TLS_CERT_ALTNAME_INVALID"],
        ["misused", "Usage", "INVALID_PURPOSE"]
      ]
      it.scoped.each(faults)(
        "that is %s is refused for its %s, unless any is accepted",
        ([name, check, code]) =>
          Effect.gen(function*() {
            const pki = yield* Pki
            const running = Layer.succeedContext(yield* Layer.build(nbdkitUnix(...requireTls(pki, name), ...memory)))
            for (const version of versions) {
              expect(yield* attempt(running, trusting(pki, { maximumVersion: version }))).toMatchObject({
                _tag: "NbdTlsVerificationError",
                check,
                code,
                hostname: "nbd.example"
              })
            }
            const chain = yield* attempt(running, trusting(pki, { verification: "ChainOnly" }))
            if (check === "Name") expect(chain).toBe("TLS")
            else expect(chain).toMatchObject({ _tag: "NbdTlsVerificationError", check })
            expect(yield* attempt(running, trusting(pki, { verification: "AcceptAnyCertificate" }))).toBe("TLS")
            // Whom Node.js trusts has issued none of them.
            expect(yield* attempt(running, trusting(pki, { credentials: undefined }))).toMatchObject({
              _tag: "NbdTlsVerificationError"
            })
          })
      )

      it.scoped("that was revoked is refused where a list says so", () =>
        Effect.gen(function*() {
          const pki = yield* Pki
          const revocations = [pki.text("revocations.pem")]
          const credentials = { ...pki.trust("good"), revocations }
          const revoked = Layer.succeedContext(yield* Layer.build(nbdkitUnix(...requireTls(pki, "revoked"), ...memory)))
          expect(yield* attempt(revoked, trusting(pki))).toBe("TLS")
          expect(yield* attempt(revoked, trusting(pki, { credentials }))).toMatchObject({
            _tag: "NbdTlsVerificationError",
            check: "Revoked",
            code: "CERT_REVOKED"
          })
          expect(yield* attempt(nbdkitUnix(...requireTls(pki), ...memory), trusting(pki, { credentials }))).toBe("TLS")
        }))

      it.scoped("is checked whatever the environment says", () =>
        Effect.gen(function*() {
          const pki = yield* Pki
          yield* Effect.acquireRelease(
            Effect.sync(() => process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0"),
            () => Effect.sync(() => delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"])
          )
          const server = nbdkitUnix(...requireTls(pki, "stranger"), ...memory)
          expect(yield* attempt(server, trusting(pki))).toMatchObject({ check: "Authority" })
        }))
    })

    describe("clients' certificates", () => {
      const servers: ReadonlyArray<readonly [string, (pki: PkiMaker) => Server]> = [
        ["nbdkit", (pki) => nbdkitUnix("--tls-verify-peer", ...requireTls(pki), ...memory)],
        ...(has("qemu-nbd")
          ? [["qemu-nbd", (pki: PkiMaker) => qemuNbd(mebibyte, ...qemuX509(pki, "yes"))] as const]
          : [])
      ]
      it.scoped.each(
        servers.flatMap(([name, server]) => versions.map((version) => [name, version, server] as const))
      )(
        "are what %s wants, under %s (C-080, C-081)",
        ([, maximumVersion, server]) =>
          Effect.gen(function*() {
            const pki = yield* Pki
            const running = Layer.succeedContext(yield* Layer.build(server(pki)))
            const showing = (name: "good" | "stranger" | undefined) =>
              attempt(
                running,
                trusting(pki, {
                  maximumVersion,
                  credentials: {
                    ...pki.trust("good"),
                    identities: name === undefined ? undefined : [pki.identity(name, "client")]
                  }
                })
              )
            expect(yield* showing("good")).toBe("TLS")
            expect(yield* showing("stranger")).toMatchObject({ _tag: "NbdTlsHandshakeError", by: "Server" })
            expect(yield* showing(undefined)).toMatchObject({ _tag: "NbdTlsHandshakeError", by: "Server" })
            expect(yield* showing("good")).toBe("TLS")
          })
      )
    })

    describe("pre-shared keys", () => {
      const servers: ReadonlyArray<readonly [string, (pki: PkiMaker) => Server]> = [
        ["nbdkit", (pki) => nbdkitUnix(...requirePsk(pki), ...memory)],
        ...(has("qemu-nbd") ? [["qemu-nbd", (pki: PkiMaker) => qemuNbd(mebibyte, ...qemuPsk(pki))] as const] : [])
      ]
      it.scoped.each(
        servers.flatMap(([name, server]) => versions.map((version) => [name, version, server] as const))
      )(
        "are what %s wants, under %s (C-080, C-081)",
        ([, maximumVersion, server]) =>
          Effect.gen(function*() {
            const pki = yield* Pki
            const running = Layer.succeedContext(yield* Layer.build(server(pki)))
            const having = (credentials: TlsSettings["credentials"]) =>
              attempt(running, { mode: "Require", credentials, maximumVersion })
            const [alice, bob] = [pki.psk("alice"), pki.psk("bob")]
            expect(yield* having(alice)).toBe("TLS")
            expect(yield* having(bob)).toBe("TLS")
            const mismatch = { _tag: "NbdTlsVerificationError", check: "Key", hostname: undefined }
            expect(yield* having({ ...alice, key: bob.key })).toMatchObject(mismatch)
            expect(yield* having({ ...alice, username: "carol" })).toMatchObject(mismatch)
            expect(yield* having({ ...alice, key: Redacted.make(new Uint8Array(1)) })).toMatchObject(mismatch)
            expect(yield* attempt(running, trusting(pki, { maximumVersion }))).toMatchObject({
              _tag: "NbdTlsHandshakeError",
              by: "Server"
            })
          })
      )

      it.scoped.each(versions)(
        "are not replaced by a certificate, whoever has issued it (%s)",
        (maximumVersion) =>
          Effect.gen(function*() {
            const pki = yield* Pki
            const server = nbdkitUnix(...requireTls(pki), ...memory)
            const credentials = pki.psk("alice")
            expect(yield* attempt(server, { mode: "Require", credentials, maximumVersion })).toMatchObject({
              _tag: "NbdTlsVerificationError",
              check: "Key"
            })
          })
      )
    })
  })
})

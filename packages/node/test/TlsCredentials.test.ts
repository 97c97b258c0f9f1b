/**
 * Credentials from files and from memory: what is read, what is wrong with each part by its name, and that no secret is
 * ever shown.
 */
import { Handle } from "@effect-nbd/core"
import type { Identity, TlsServerSettings, TlsSettings, X509 } from "@effect-nbd/core/Tls"
import type { TlsCredentialsError } from "@effect-nbd/core/TlsError"
import { Transport } from "@effect-nbd/core/Transport"
import { TcpTransport } from "@effect-nbd/node"
import * as DuplexConnection from "@effect-nbd/node/DuplexConnection"
import * as TlsCredentials from "@effect-nbd/node/TlsCredentials"
import { describe, expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Inspectable from "effect/Inspectable"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { execFileSync } from "node:child_process"
import { createPrivateKey } from "node:crypto"
import { copyFileSync, mkdirSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { PassThrough } from "node:stream"
import { inspect } from "node:util"
import { listen } from "./Peers.ts"
import { Pki, pkiLayer, type PkiMaker } from "./Pki.ts"
import { has } from "./RealServers.ts"

/** What an error says, in every way in which one may come to print it. */
const told = (value: unknown): string =>
  [
    JSON.stringify(value),
    String(value),
    inspect(value, { depth: 9, showHidden: true }),
    Inspectable.toStringUnknown(value),
    Cause.pretty(Cause.fail(value)),
    JSON.stringify(Exit.fail(value))
  ].join("\n")

const failure = (effect: Effect.Effect<unknown, TlsCredentialsError>) => Effect.flip(effect).pipe(Effect.orDie)

/** A folder with copies of some files of another. */
const copied = (pki: PkiMaker, name: string, ...files: ReadonlyArray<string>): string => {
  const folder = pki.path(name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
  for (const file of files) copyFileSync(pki.path("good", file), pki.path(name, file))
  return folder
}

const withEnvironment = (name: string, value: string | undefined): Effect.Effect<void, never, Scope.Scope> => {
  const set = (value: string | undefined) => {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
  return Effect.acquireRelease(
    Effect.sync(() => {
      const before = process.env[name]
      set(value)
      return before
    }),
    (before) => Effect.sync(() => set(before))
  ).pipe(Effect.asVoid)
}

/** Has the process be of another user, as far as it asks. */
const asUser = (id: number): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { geteuid } = process
      process.geteuid = () => id
      return geteuid
    }),
    (geteuid) =>
      Effect.sync(() => {
        if (geteuid !== undefined) process.geteuid = geteuid
      })
  ).pipe(Effect.asVoid)

const passphrase = Redacted.make("correct horse")

const encryptedKey = (pki: PkiMaker): string => {
  const file = pki.path("encrypted-key.pem")
  const key = createPrivateKey(pki.text("good", "client-key.pem")).export({
    type: "pkcs8",
    format: "pem",
    cipher: "aes-256-cbc",
    passphrase: Redacted.value(passphrase)
  })
  writeFileSync(file, key)
  return file
}

describe.skipIf(!has("certtool"))("credentials", () => {
  layer(pkiLayer, { excludeTestServices: true })((it) => {
    describe("from files", () => {
      it.effect("are read, the key as a secret", () =>
        Effect.gen(function*() {
          const pki = yield* Pki
          const credentials = yield* TlsCredentials.fromFiles({
            authorities: pki.path("good", "ca-cert.pem"),
            certificate: pki.path("good", "client-cert.pem"),
            key: pki.path("good", "client-key.pem"),
            revocations: pki.path("revocations.pem")
          })
          expect(credentials.authorities).toStrictEqual([pki.text("good", "ca-cert.pem")])
          expect(credentials.revocations).toStrictEqual([pki.text("revocations.pem")])
          const [identity] = credentials.identities ?? []
          expect(identity?.certificate).toBe(pki.text("good", "client-cert.pem"))
          expect(identity && Redacted.value(identity.key)).toBe(pki.text("good", "client-key.pem"))
          expect(told(credentials)).not.toContain("PRIVATE KEY")
        }))

      it.effect("are none where none are named", () =>
        Effect.gen(function*() {
          expect(yield* TlsCredentials.fromFiles({})).toStrictEqual({
            _tag: "X509",
            authorities: undefined,
            identities: undefined,
            revocations: undefined
          })
        }))

      it.effect("come from configuration, the passphrase as a secret", () =>
        Effect.gen(function*() {
          const pki = yield* Pki
          const config = Config.all({
            authorities: Config.string("CA"),
            certificate: Config.string("CERT"),
            key: Config.string("KEY"),
            passphrase: Config.redacted("PASSPHRASE")
          })
          const provider = ConfigProvider.fromMap(
            new Map([
              ["CA", pki.path("good", "ca-cert.pem")],
              ["CERT", pki.path("good", "client-cert.pem")],
              ["KEY", encryptedKey(pki)],
              ["PASSPHRASE", Redacted.value(passphrase)]
            ])
          )
          const { identities } = yield* Effect.flatMap(config, TlsCredentials.fromFiles).pipe(
            Effect.withConfigProvider(provider)
          )
          expect(identities).toHaveLength(1)
        }))

      const faults: ReadonlyArray<
        readonly [
          string,
          (pki: PkiMaker) => TlsCredentials.Files,
          (pki: PkiMaker) => Partial<TlsCredentialsError>
        ]
      > = [
        ["authorities that are not there", () => ({ authorities: "/nowhere/ca.pem" }), () => ({
          part: "Authorities",
          file: "/nowhere/ca.pem",
          reason: "ENOENT"
        })],
        ["authorities that are a folder", (pki) => ({ authorities: pki.root }), (pki) => ({
          part: "Authorities",
          file: pki.root,
          reason: "EISDIR"
        })],
        ["authorities that are a FIFO, which is not waited for", (pki) => {
          rmSync(pki.path("fifo.pem"), { force: true })
          execFileSync("mkfifo", [pki.path("fifo.pem")])
          return { authorities: pki.path("fifo.pem") }
        }, (pki) => ({ part: "Authorities", file: pki.path("fifo.pem"), reason: "it is not a regular file" })],
        ["authorities without an end", () => ({ authorities: "/dev/zero" }), () => ({
          part: "Authorities",
          reason: "it is not a regular file"
        })],
        ["authorities that are longer than all of the world's", (pki) => {
          writeFileSync(pki.path("long.pem"), "")
          truncateSync(pki.path("long.pem"), 16_777_217)
          return { authorities: pki.path("long.pem") }
        }, (pki) => ({ part: "Authorities", file: pki.path("long.pem"), reason: "it has more than 16 MiB" })],
        ["authorities without a certificate", (pki) => ({ authorities: pki.path("good", "ca-key.pem") }), (pki) => ({
          part: "Authorities",
          file: pki.path("good", "ca-key.pem"),
          reason: "there is no certificate in PEM in it"
        })],
        ["a certificate that is cut short", (pki) => {
          const pem = pki.text("good", "client-cert.pem")
          writeFileSync(pki.path("short.pem"), pem + pem.slice(0, 400))
          return { authorities: pki.path("short.pem") }
        }, (pki) => ({ part: "Authorities", file: pki.path("short.pem"), reason: "a certificate in it is cut short" })],
        ["a certificate that is none", (pki) => {
          writeFileSync(pki.path("none.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
          return { certificate: pki.path("none.pem"), key: pki.path("good", "client-key.pem") }
        }, (pki) => ({ part: "Certificate", file: pki.path("none.pem"), reason: "ERR_OSSL_ASN1_WRONG_TAG" })],
        ["a certificate without a key", (pki) => ({ certificate: pki.path("good", "client-cert.pem") }), () => ({
          part: "Key",
          file: undefined
        })],
        ["a key without a certificate", (pki) => ({ key: pki.path("good", "client-key.pem") }), () => ({
          part: "Certificate",
          file: undefined
        })],
        ["another certificate's key", (pki) => ({
          certificate: pki.path("good", "client-cert.pem"),
          key: pki.path("good", "server-key.pem")
        }), (pki) => ({
          part: "Key",
          file: pki.path("good", "server-key.pem"),
          reason: "it is not the key of the certificate"
        })],
        ["a key that is none", (pki) => ({
          certificate: pki.path("good", "client-cert.pem"),
          key: pki.path("good", "client-cert.pem")
        }), (pki) => ({ part: "Key", file: pki.path("good", "client-cert.pem") })],
        ["no passphrase", (pki) => ({ certificate: pki.path("good", "client-cert.pem"), key: encryptedKey(pki) }), (
          pki
        ) => ({ part: "Passphrase", file: pki.path("encrypted-key.pem") })],
        ["the wrong passphrase", (pki) => ({
          certificate: pki.path("good", "client-cert.pem"),
          key: encryptedKey(pki),
          passphrase: Redacted.make("wrong horse")
        }), (pki) => ({ part: "Passphrase", file: pki.path("encrypted-key.pem") })],
        ["a list of revocations that is none", (pki) => ({ revocations: pki.path("good", "ca-cert.pem") }), (pki) => ({
          part: "Revocations",
          file: pki.path("good", "ca-cert.pem")
        })]
      ]
      it.effect.each(faults)(
        "that are wrong are told by part and file: %s",
        ([, files, expected]) =>
          Effect.gen(function*() {
            const pki = yield* Pki
            const error = yield* failure(TlsCredentials.fromFiles(files(pki)))
            expect(error._tag).toBe("NbdTlsCredentialsError")
            expect(error).toMatchObject(expected(pki))
            expect(told(error)).not.toMatch(/PRIVATE KEY|horse|MII|MIG/)
          })
      )
    })

    describe("from a directory", () => {
      it.effect("are what libnbd takes from it", () =>
        Effect.gen(function*() {
          const pki = yield* Pki
          const alone = copied(pki, "alone", "ca-cert.pem")
          expect(yield* TlsCredentials.fromDirectory(alone)).toStrictEqual({
            _tag: "X509",
            authorities: [pki.text("good", "ca-cert.pem")],
            revocations: undefined,
            identities: undefined
          })
          const all = copied(pki, "all", "ca-cert.pem", "client-cert.pem", "client-key.pem")
          copyFileSync(pki.path("revocations.pem"), `${all}/ca-crl.pem`)
          copyFileSync(pki.path("stranger", "client-cert.pem"), `${all}/client-cert-0.pem`)
          copyFileSync(pki.path("stranger", "client-key.pem"), `${all}/client-key-0.pem`)
          const { identities, revocations } = yield* TlsCredentials.fromDirectory(all)
          expect(revocations).toStrictEqual([pki.text("revocations.pem")])
          expect(identities?.map(({ certificate }) => certificate)).toStrictEqual([
            pki.text("good", "client-cert.pem"),
            pki.text("stranger", "client-cert.pem")
          ])
        }))

      it.effect("are an error without its authority, where libnbd trusts the system's", () =>
        Effect.gen(function*() {
          const pki = yield* Pki
          const folder = copied(pki, "empty", "client-cert.pem", "client-key.pem")
          expect(yield* failure(TlsCredentials.fromDirectory(folder))).toMatchObject({
            part: "Authorities",
            file: `${folder}/ca-cert.pem`,
            reason: "ENOENT"
          })
          expect(yield* failure(TlsCredentials.fromDirectory("/nowhere"))).toMatchObject({
            part: "Directory",
            file: "/nowhere",
            reason: "ENOENT"
          })
        }))

      it.effect("are an error with half an identity, and tell which half is missing", () =>
        Effect.gen(function*() {
          const pki = yield* Pki
          const halves = [["client-cert.pem", "Key", "client-key.pem"], [
            "client-key.pem",
            "Certificate",
            "client-cert.pem"
          ]]
          for (const [present = "", part, missing] of halves) {
            const folder = copied(pki, "half", "ca-cert.pem", present)
            expect(yield* failure(TlsCredentials.fromDirectory(folder))).toMatchObject({
              part,
              file: `${folder}/${missing}`
            })
          }
        }))

      it.effect("are those of the first that has an authority, or whom the system trusts", () =>
        Effect.gen(function*() {
          const pki = yield* Pki
          const folder = copied(pki, "second", "ca-cert.pem")
          const found = yield* TlsCredentials.fromFirstDirectory(["/nowhere", folder, pki.path("stranger")])
          expect(found.authorities).toStrictEqual([pki.text("good", "ca-cert.pem")])
          yield* withEnvironment("SSL_CERT_FILE", pki.path("stranger", "ca-cert.pem"))
          const system = yield* TlsCredentials.fromFirstDirectory(["/nowhere"])
          expect(system).toStrictEqual({ _tag: "X509", authorities: [pki.text("stranger", "ca-cert.pem")] })
          yield* withEnvironment("SSL_CERT_FILE", "/nowhere/bundle.pem")
          expect(yield* failure(TlsCredentials.fromFirstDirectory([]))).toMatchObject({
            part: "Authorities",
            file: "/nowhere/bundle.pem"
          })
        }).pipe(Effect.scoped))

      it.effect("are libnbd's by default", () =>
        Effect.gen(function*() {
          const pki = yield* Pki
          yield* withEnvironment("HOME", pki.path("home"))
          mkdirSync(pki.path("home/.config/pki/libnbd"), { recursive: true })
          copyFileSync(pki.path("good", "ca-cert.pem"), pki.path("home/.config/pki/libnbd/ca-cert.pem"))
          yield* asUser(1000)
          const { authorities } = yield* TlsCredentials.fromDefaultDirectory
          expect(authorities).toStrictEqual([pki.text("good", "ca-cert.pem")])
        }).pipe(Effect.scoped))

      it.effect("are a server's too", () =>
        Effect.gen(function*() {
          const pki = yield* Pki
          const server = yield* TlsCredentials.serverFromDirectory(pki.path("good"), { clientCertificates: "Require" })
          expect(server).toMatchObject({
            _tag: "X509",
            clientCertificates: "Require",
            authorities: [pki.text("good", "ca-cert.pem")],
            identities: [{ certificate: pki.text("good", "server-cert.pem") }]
          })
          const folder = copied(pki, "none", "ca-cert.pem")
          expect(yield* failure(TlsCredentials.serverFromDirectory(folder))).toMatchObject({
            part: "Certificate",
            file: `${folder}/server-cert.pem`
          })
        }))
    })

    describe("pre-shared keys", () => {
      const written = (pki: PkiMaker, ...lines: ReadonlyArray<string>): string => {
        const file = pki.path("written.psk")
        writeFileSync(file, lines.map((line) => `${line}\n`).join(""))
        return file
      }
      const keyOf = (file: string, username?: string) =>
        Effect.map(
          TlsCredentials.pskFromFile({ file, username }),
          ({ key, username }) => [username, Buffer.from(Redacted.value(key)).toString("hex")] as const
        )

      it.effect("are found by the user's name, as psktool writes them", () =>
        Effect.gen(function*() {
          const pki = yield* Pki
          const file = pki.path("psk", "keys.psk")
          for (const user of ["alice", "bob"]) {
            const line = pki.text("psk", "keys.psk").split("\n").find((line) => line.startsWith(user))
            expect((yield* keyOf(file, user)).join(":")).toBe(line)
          }
          // psktool writes names with a colon, and others that are no plain text, in hexadecimal.
          const odd = written(pki, "#613a62:0102", "ü:0304", "twice:05", "twice:06", "", "windows:07\r")
          expect(yield* keyOf(odd, "a:b")).toStrictEqual(["a:b", "0102"])
          expect(yield* keyOf(odd, "ü")).toStrictEqual(["ü", "0304"])
          expect(yield* keyOf(odd, "twice")).toStrictEqual(["twice", "05"])
          expect(yield* keyOf(odd, "windows")).toStrictEqual(["windows", "07"])
        }))

      it.effect("are by default of the user who has logged in", () =>
        Effect.gen(function*() {
          const pki = yield* Pki
          yield* withEnvironment("LOGNAME", "bob")
          expect((yield* keyOf(pki.path("psk", "keys.psk")))[0]).toBe("bob")
          yield* withEnvironment("LOGNAME", undefined)
          expect(yield* failure(keyOf(pki.path("psk", "keys.psk")))).toMatchObject({
            part: "Psk",
            file: pki.path("psk", "keys.psk"),
            reason: expect.stringMatching(/^user ".+" is not in it$/)
          })
        }).pipe(Effect.scoped))

      it.effect("that cannot be used are told by the line, without the key", () =>
        Effect.gen(function*() {
          const pki = yield* Pki
          const secret = "5ec7e7"
          for (const line of [`al${secret}`, `al:${secret}f`, `al:${secret}xy`, `:${secret}`, `al:`, `#6:${secret}`]) {
            const file = written(pki, "first:00", line)
            const error = yield* failure(keyOf(file, "al"))
            expect(error).toMatchObject({ part: "Psk", file, reason: expect.stringMatching(/^line 2 is not/) })
            expect(told(error)).not.toContain(secret)
          }
          expect(yield* failure(keyOf(written(pki, "al:00"), "Al"))).toMatchObject({
            reason: "user \"Al\" is not in it"
          })
          expect(yield* failure(keyOf("/nowhere.psk", "al"))).toMatchObject({ file: "/nowhere.psk", reason: "ENOENT" })
          const long = written(pki, `al:${"00".repeat(513)}`, `${"a".repeat(257)}:00`)
          expect(yield* failure(keyOf(long, "al"))).toMatchObject({ reason: "a key has from 1 to 512 bytes" })
          expect(yield* failure(keyOf(long, "a".repeat(257)))).toMatchObject({
            reason: expect.stringMatching(/^a user's name has/)
          })
        }))

      it.effect("of all users are a server's", () =>
        Effect.gen(function*() {
          const pki = yield* Pki
          const { keyOf } = yield* TlsCredentials.serverPskFromFile(pki.path("psk", "keys.psk"))
          expect(keyOf("alice") && Redacted.value(keyOf("alice") ?? Redacted.make(new Uint8Array()))).toStrictEqual(
            Redacted.value(pki.psk("alice").key)
          )
          expect(keyOf("carol")).toBe(undefined)
        }))
    })

    describe("in memory", () => {
      const faults: ReadonlyArray<
        readonly [string, (pki: PkiMaker) => TlsSettings["credentials"], TlsCredentialsError["part"]]
      > = [
        ["no authority in the list", () => ({ _tag: "X509", authorities: [] }), "Authorities"],
        ["an authority that is none", () => ({ _tag: "X509", authorities: ["garbage"] }), "Authorities"],
        [
          "a list of revocations that is none",
          (pki) => ({ ...pki.trust("good"), revocations: ["garbage"] }),
          "Revocations"
        ],
        [
          "another's key",
          (pki) => ({
            _tag: "X509",
            identities: [{ ...pki.identity("good", "client"), key: pki.identity("good", "server").key }]
          }),
          "Key"
        ],
        [
          "no certificate",
          (pki) => ({ _tag: "X509", identities: [{ ...pki.identity("good", "client"), certificate: "" }] }),
          "Certificate"
        ],
        [
          "two certificates with keys of one kind",
          (pki) => ({ _tag: "X509", identities: [pki.identity("good", "client"), pki.identity("stranger", "client")] }),
          "Certificate"
        ],
        ["a pre-shared key of nobody", (pki) => ({ ...pki.psk("alice"), username: "" }), "Psk"],
        [
          "a pre-shared key without a byte",
          (pki) => ({ ...pki.psk("alice"), key: Redacted.make(new Uint8Array(0)) }),
          "Psk"
        ]
      ]
      it.scoped.each(faults)(
        "that cannot be used end it before a byte is sent: %s",
        ([, credentials, part]) =>
          Effect.gen(function*() {
            const pki = yield* Pki
            let received = 0
            const { port } = yield* listen((socket) => {
              socket.on("data", ({ byteLength }) => received += byteLength)
              socket.write("NBDMAGICIHAVEOPT\0\x03")
            })
            for (const mode of ["Allow", "Require"] as const) {
              const tls: TlsSettings = { mode, hostname: "nbd.example", credentials: credentials(pki) }
              const error = yield* Effect.flip(Handle.connect({ tls })).pipe(
                Effect.provideService(Transport, TcpTransport.make({ host: "127.0.0.1", port }))
              )
              expect(error).toMatchObject({ _tag: "NbdTlsCredentialsError", part, file: undefined })
              expect(told(error)).not.toMatch(/PRIVATE KEY|MIG/)
            }
            expect(received).toBe(0)
          })
      )

      it.effect("of a server are checked before it shakes hands", () =>
        Effect.gen(function*() {
          const pki = yield* Pki
          const identity: Identity = pki.identity("good", "server")
          const wrong: ReadonlyArray<readonly [TlsServerSettings["credentials"], string]> = [
            [{ _tag: "X509", identities: [identity], clientCertificates: "Require" }, "Authorities"],
            [{ _tag: "X509", identities: [{ ...identity, key: Redacted.make("garbage") }] }, "Key"]
          ]
          for (const [credentials, part] of wrong) {
            const both = new PassThrough()
            const connection = DuplexConnection.fromStreams({ readable: both, writable: both, peer: "client" })
            expect(yield* Effect.flip(connection.acceptTls?.({ credentials }) ?? Effect.void)).toMatchObject({
              _tag: "NbdTlsCredentialsError",
              part
            })
          }
        }))

      it.effect("show no secret, whoever prints them", () =>
        Effect.gen(function*() {
          const pki = yield* Pki
          const x509: X509 = { ...pki.trust("good"), identities: [{ ...pki.identity("good", "client"), passphrase }] }
          const psk = pki.psk("alice")
          const secret = Buffer.from(Redacted.value(psk.key))
          for (const settings of [{ mode: "Require", credentials: x509 }, { mode: "Require", credentials: psk }]) {
            expect(told(settings)).not.toMatch(/PRIVATE KEY|horse/)
            expect(told(settings)).not.toContain(secret.toString("hex"))
            expect(told(settings)).not.toContain([...secret.subarray(0, 4)].join(","))
          }
        }))
    })
  })
})

/** `effect-nbd serve` under TLS, as other clients and our own find it. */
import { afterAll, beforeAll, describe, expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Credentials, credentials } from "./support/credentials.ts"
import { cli, isInstalled, itWith, run, succeed } from "./support/programs.ts"
import { folder } from "./support/servers.ts"
import { serving } from "./support/serving.ts"

const scope = Effect.runSync(Scope.make())
let made: Credentials | undefined

/** The credentials, in which every test needs both programs. */
const withCredentials = Effect.suspend(() =>
  made === undefined ? Effect.dieMessage("there are no credentials") : Effect.succeed(made)
)

beforeAll(async () => {
  if (isInstalled("certtool") && isInstalled("psktool")) {
    made = await Effect.runPromise(Scope.extend(credentials, scope))
  }
})
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const size = "--size=1M"
const jsonOf = (text: string): unknown => JSON.parse(text)

describe("certificates", () => {
  itWith("certtool", "psktool", "nbdinfo", "nbdcopy")(
    "libnbd comes in under TLS, by TCP and by a Unix socket",
    () =>
      Effect.gen(function*() {
        const { client, server } = yield* withCredentials
        const directory = yield* folder
        const [from, to] = [join(directory, "from"), join(directory, "to")]
        writeFileSync(from, randomBytes(1_048_576))
        for (const where of [["--port=0"], ["--unix", join(directory, "socket")]]) {
          const { uri } = yield* serving(...where, size, "--export=disk", `--tls-certificates=${server}`)
          expect(uri).toMatch(/^nbds(\+unix)?:/)
          const theirs = `${uri}${uri.includes("?") ? "&" : "?"}tls-certificates=${client}`
          expect(jsonOf(yield* succeed("nbdinfo", "--json", theirs))).toMatchObject({
            TLS: true,
            structured: true,
            exports: [{ "export-name": "disk", contexts: ["base:allocation"] }]
          })
          yield* succeed("nbdcopy", from, theirs)
          yield* succeed("nbdcopy", theirs, to)
          expect(readFileSync(to).equals(readFileSync(from))).toBe(true)
        }
      })
  )

  itWith("certtool", "psktool", "qemu-img", "qemu-io")(
    "qemu comes in under TLS, and shows its own certificate",
    () =>
      Effect.gen(function*() {
        const { client, nobody, server } = yield* withCredentials
        const { port } = yield* serving("--port=0", size, `--tls-certificates=${server}`, "--tls-verify-peer")
        const object = (directory: string) => `tls-creds-x509,id=tls,endpoint=client,dir=${directory}`
        const image = [
          "driver=nbd,server.type=inet,server.host=127.0.0.1",
          `server.port=${port},export=,tls-creds=tls`
        ].join(",")
        const wrote = ["-c", "write -P 5 0 64k", "-c", "read -P 5 0 64k"]
        const said = yield* succeed("qemu-io", "--object", object(client), ...wrote, "--image-opts", image)
        expect(said).toContain("read 65536/65536 bytes at offset 0")
        const map = ["map", "--output=json", "--image-opts", image]
        const extents = jsonOf(yield* succeed("qemu-img", ...map, "--object", object(client)))
        expect(extents).toMatchObject([{ start: 0, length: 65_536, data: true }, { start: 65_536, zero: true }])
        const refused = yield* run("qemu-img", ...map, "--object", object(nobody))
        expect(refused.code).not.toBe(0)
      })
  )

  itWith("certtool", "psktool")(
    "our own client verifies it, and is refused where it should be",
    () =>
      Effect.gen(function*() {
        const { client, server, stranger } = yield* withCredentials
        const { uri } = yield* serving("--port=0", size, `--tls-certificates=${server}`, "--tls-verify-peer")
        const known = yield* cli("info", "--json", `${uri}?tls-certificates=${client}`)
        expect(known.stderr).toBe("")
        expect(jsonOf(known.stdout)).toMatchObject({ TLS: true })
        const unknown = yield* cli("info", `${uri}?tls-certificates=${stranger}`)
        expect(unknown).toMatchObject({ code: 1, stdout: "" })
        expect(unknown.stderr).toMatch(/was not issued by a trusted authority/)
        // Nothing is told without TLS.
        const plain = yield* cli("info", uri.replace("nbds:", "nbd:"))
        expect(plain).toMatchObject({ code: 1, stdout: "" })
        expect(plain.stderr).toMatch(/TLS/)
      })
  )

  itWith("certtool", "psktool", "nbdinfo")(
    "--tls allow serves both, and --tls off nobody but plaintext",
    () =>
      Effect.gen(function*() {
        const { client, server } = yield* withCredentials
        const allowed = yield* serving("--port=0", size, "--tls=allow", `--tls-certificates=${server}`)
        expect(allowed.uri).toMatch(/^nbd:/)
        expect(jsonOf(yield* succeed("nbdinfo", "--json", allowed.uri))).toMatchObject({ TLS: false })
        const encrypted = `${allowed.uri.replace("nbd:", "nbds:")}?tls-certificates=${client}`
        expect(jsonOf(yield* succeed("nbdinfo", "--json", encrypted))).toMatchObject({ TLS: true })
        const off = yield* serving("--port=0", size, "--tls=off", `--tls-certificates=${server}`)
        expect(jsonOf(yield* succeed("nbdinfo", "--json", off.uri))).toMatchObject({ TLS: false })
        const refused = yield* run("nbdinfo", `${off.uri.replace("nbd:", "nbds:")}?tls-certificates=${client}`)
        expect(refused).toMatchObject({ code: 1, stdout: "" })
      })
  )
})

describe("pre-shared keys", () => {
  itWith("certtool", "psktool", "nbdinfo")(
    "libnbd and our own client have one, and nobody else comes in",
    () =>
      Effect.gen(function*() {
        const { keys } = yield* withCredentials
        const { uri } = yield* serving("--port=0", size, "--export=disk", `--tls-psk=${keys}`)
        const as = (user: string) => `${uri.replace("nbds://", `nbds://${user}@`)}?tls-psk-file=${keys}`
        expect(jsonOf(yield* succeed("nbdinfo", "--json", as("alice")))).toMatchObject({ TLS: true })
        const ours = yield* cli("info", "--json", as("bob"))
        expect(ours.stderr).toBe("")
        expect(jsonOf(ours.stdout)).toMatchObject({ TLS: true })
        const other = join(yield* folder, "keys.psk")
        writeFileSync(other, `mallory:${"00".repeat(32)}\nalice:${"11".repeat(32)}\n`)
        for (const user of ["mallory", "alice"]) {
          const stranger = `${uri.replace("nbds://", `nbds://${user}@`)}?tls-psk-file=${other}`
          expect((yield* run("nbdinfo", stranger)).code).not.toBe(0)
          expect(yield* cli("info", stranger)).toMatchObject({ code: 1, stdout: "" })
        }
      })
  )
})

describe("what is wrong with its options is said in a line", () => {
  itWith("certtool", "psktool")("files and combinations", () =>
    Effect.gen(function*() {
      const { client, keys, server } = yield* withCredentials
      const cases: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
        [["--tls=require"], /--tls require needs --tls-certificates or --tls-psk/],
        [["--tls=on"], /--tls|one of/],
        [[`--tls-certificates=${server}`, `--tls-psk=${keys}`], /only one of --tls-certificates and --tls-psk/],
        [[`--tls-psk=${keys}`, "--tls-verify-peer"], /--tls-verify-peer needs --tls-certificates/],
        [["--tls-certificates=/no/such/folder"], /\/no\/such\/folder/],
        [[`--tls-certificates=${client}`], /server-cert\.pem/],
        [["--tls-psk=/no/such/file"], /\/no\/such\/file/]
      ]
      for (const [args, message] of cases) {
        const { code, stderr, stdout } = yield* cli("serve", "--port=0", ...args)
        expect(stderr).toMatch(message)
        expect(stderr).toMatch(/^effect-nbd: [^\n]+\n$/)
        expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
      }
    }))
})

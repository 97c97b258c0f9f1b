/** Certificates and keys for TLS, made by GnuTLS's certtool and psktool, named as nbdkit, qemu and libnbd want them. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { succeed } from "./programs.ts"
import { folder } from "./servers.ts"

export interface Credentials {
  /** The server's certificate, for localhost and 127.0.0.1, and the authority's. */
  readonly server: string
  /** The authority's certificate, and a client's. */
  readonly client: string
  /** The authority's certificate alone. */
  readonly nobody: string
  /** Another authority's certificate alone. */
  readonly stranger: string
  /** The keys of alice and bob. */
  readonly keys: string
}

const authority = (directory: string, name: string) =>
  Effect.gen(function*() {
    const path = join(directory, name)
    mkdirSync(path)
    writeFileSync(join(path, "template"), `cn = "${name}"\nca\ncert_signing_key\nexpiration_days = 9\n`)
    yield* succeed("certtool", "--generate-privkey", "--key-type=ed25519", "--outfile", join(path, "ca-key.pem"))
    yield* succeed(
      "certtool",
      "--generate-self-signed",
      "--load-privkey",
      join(path, "ca-key.pem"),
      "--template",
      join(path, "template"),
      "--outfile",
      join(path, "ca-cert.pem")
    )
    return path
  })

const issue = (from: string, path: string, role: "server" | "client") =>
  Effect.gen(function*() {
    mkdirSync(path)
    const key = join(path, `${role}-key.pem`)
    const names = `dns_name = "localhost"\nip_address = "127.0.0.1"\n`
    writeFileSync(
      join(path, "template"),
      `cn = "${role}"\ntls_www_${role}\nsigning_key\nexpiration_days = 8\n${names}`
    )
    copyFileSync(join(from, "ca-cert.pem"), join(path, "ca-cert.pem"))
    yield* succeed("certtool", "--generate-privkey", "--key-type=ecdsa", "--outfile", key)
    yield* succeed(
      "certtool",
      "--generate-certificate",
      "--load-privkey",
      key,
      "--template",
      join(path, "template"),
      "--load-ca-certificate",
      join(from, "ca-cert.pem"),
      "--load-ca-privkey",
      join(from, "ca-key.pem"),
      "--outfile",
      join(path, `${role}-cert.pem`)
    )
    return path
  })

export const credentials: Effect.Effect<Credentials, never, Scope.Scope> = Effect.gen(function*() {
  const root = yield* folder
  const good = yield* authority(root, "good")
  const keys = join(root, "keys.psk")
  for (const user of ["alice", "bob"]) yield* succeed("psktool", "--username", user, "--pskfile", keys)
  return {
    server: yield* issue(good, join(root, "server"), "server"),
    client: yield* issue(good, join(root, "client"), "client"),
    nobody: good,
    stranger: yield* authority(root, "stranger"),
    keys
  }
})

/** Certificates and keys for TLS on this computer, made by GnuTLS's programs in a folder that is gone with the scope. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { folder } from "./servers.ts"

export interface Pki {
  /** Has an authority, a server's certificate for localhost and 127.0.0.1, and a client's, under libnbd's names. */
  readonly certificates: string
  /** Has the key of `alice`. */
  readonly pskFile: string
}

export const pki: Effect.Effect<Pki, never, Scope.Scope> = Effect.map(folder, (directory) => {
  const path = (name: string): string => join(directory, name)
  const certtool = (...args: ReadonlyArray<string>): void => {
    execFileSync("certtool", args, { stdio: "ignore" })
  }
  const key = (name: string): ReadonlyArray<string> => {
    certtool("--generate-privkey", "--key-type=ecdsa", "--outfile", path(`${name}-key.pem`))
    return ["--load-privkey", path(`${name}-key.pem`), "--template", path(name), "--outfile", path(`${name}-cert.pem`)]
  }
  const template = (name: string, ...lines: ReadonlyArray<string>): void =>
    writeFileSync(path(name), `${[`cn = "${name}"`, "expiration_days = 10", ...lines].join("\n")}\n`)
  const issuer = ["--load-ca-certificate", path("ca-cert.pem"), "--load-ca-privkey", path("ca-key.pem")]

  template("ca", "ca", "cert_signing_key")
  certtool("--generate-self-signed", ...key("ca"))
  template("server", "dns_name = \"localhost\"", "ip_address = \"127.0.0.1\"", "tls_www_server", "signing_key")
  certtool("--generate-certificate", ...key("server"), ...issuer)
  template("client", "tls_www_client", "signing_key")
  certtool("--generate-certificate", ...key("client"), ...issuer)
  execFileSync("psktool", ["--username", "alice", "--pskfile", path("keys.psk")], { stdio: "ignore" })
  return { certificates: directory, pskFile: path("keys.psk") }
})

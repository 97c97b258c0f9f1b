/**
 * Authorities, certificates and keys, good and bad, made by GnuTLS's certtool and psktool in a private folder: one
 * folder for each server or client that one might meet, with the names of files that nbdkit, qemu-nbd and libnbd want.
 */
import type { Identity, Psk, X509 } from "@effect-nbd/core/Tls"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { spawnSync } from "node:child_process"
import { generateKeyPairSync } from "node:crypto"
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { folder } from "./RealServers.ts"

const run = (program: string, ...args: ReadonlyArray<string>): void => {
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" })
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`)
}

const keyInto = (file: string): void => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  writeFileSync(file, privateKey.export({ type: "pkcs8", format: "pem" }))
}

export interface Certificate {
  readonly names?: ReadonlyArray<string>
  readonly addresses?: ReadonlyArray<string>
  /** When it is valid, in certtool's words. */
  readonly from?: string
  readonly until?: string
  readonly use?: "tls_www_server" | "tls_www_client"
}

export class PkiMaker {
  readonly root: string
  constructor(root: string) {
    this.root = root
  }

  path(...parts: ReadonlyArray<string>): string {
    return join(this.root, ...parts)
  }
  text(...parts: ReadonlyArray<string>): string {
    return readFileSync(this.path(...parts), "utf8")
  }

  /** A folder with an authority of its own. */
  authority(name: string): void {
    mkdirSync(this.path(name))
    keyInto(this.path(name, "ca-key.pem"))
    this.#template(name, [`cn = "${name}"`, "ca", "cert_signing_key", "crl_signing_key", "expiration_days = 10"])
    run(
      "certtool",
      "--generate-self-signed",
      "--load-privkey",
      this.path(name, "ca-key.pem"),
      "--template",
      this.path(name, "template"),
      "--outfile",
      this.path(name, "ca-cert.pem")
    )
  }

  /** A certificate and its key, issued by the authority of a folder and put into the same or another one. */
  issue(authority: string, name: string, role: "server" | "client", certificate: Certificate = {}): void {
    if (authority !== name) {
      mkdirSync(this.path(name), { recursive: true })
      copyFileSync(this.path(authority, "ca-cert.pem"), this.path(name, "ca-cert.pem"))
    }
    const { addresses = [], from, names = [], until, use = `tls_www_${role}` } = certificate
    const key = this.path(name, `${role}-key.pem`)
    keyInto(key)
    this.#template(name, [
      `cn = "${role}"`,
      ...names.map((dns) => `dns_name = "${dns}"`),
      ...addresses.map((ip) => `ip_address = "${ip}"`),
      use,
      "signing_key",
      ...(from === undefined ? [] : [`activation_date = "${from}"`]),
      ...(until === undefined ? ["expiration_days = 9"] : [`expiration_date = "${until}"`])
    ])
    run(
      "certtool",
      "--generate-certificate",
      "--load-privkey",
      key,
      "--load-ca-certificate",
      this.path(authority, "ca-cert.pem"),
      "--load-ca-privkey",
      this.path(authority, "ca-key.pem"),
      "--template",
      this.path(name, "template"),
      "--outfile",
      this.path(name, `${role}-cert.pem`)
    )
  }

  /** The list of what an authority has revoked: these files, or nothing. */
  revoke(authority: string, list: string, certificate: string | undefined, days = 9): void {
    this.#template(authority, [`crl_next_update = ${days}`, "crl_number = 1"])
    run(
      "certtool",
      "--generate-crl",
      "--load-ca-privkey",
      this.path(authority, "ca-key.pem"),
      "--load-ca-certificate",
      this.path(authority, "ca-cert.pem"),
      "--template",
      this.path(authority, "template"),
      ...(certificate === undefined ? [] : ["--load-certificate", certificate]),
      "--outfile",
      list
    )
  }

  #template(name: string, lines: ReadonlyArray<string>): void {
    writeFileSync(this.path(name, "template"), `${lines.join("\n")}\n`)
  }

  /** Trust in the authority of a folder. */
  trust(name: string): X509 {
    return { _tag: "X509", authorities: [this.text(name, "ca-cert.pem")] }
  }
  identity(name: string, role: "client" | "server"): Identity {
    return {
      certificate: this.text(name, `${role}-cert.pem`),
      key: Redacted.make(this.text(name, `${role}-key.pem`))
    }
  }
  psk(username: string): Psk {
    const line = this.text("psk", "keys.psk").split("\n").find((line) => line.startsWith(`${username}:`))
    const key = Buffer.from(line?.split(":")[1] ?? "", "hex")
    return { _tag: "Psk", username, key: Redacted.make(new Uint8Array(key)) }
  }
}

export class Pki extends Context.Tag("test/Pki")<Pki, PkiMaker>() {}

const here = { names: ["localhost", "nbd.example"], addresses: ["127.0.0.1", "::1"] }

/**
 * - `good`: the authority that clients trust, a server and a client of its.
 * - `stranger`: another authority, with a server and a client of its own.
 * - `expired`, `early`, `misnamed`, `misused`, `revoked`: servers of the good authority with that fault alone.
 * - `psk`: keys of alice and bob.
 */
export const pkiLayer: Layer.Layer<Pki> = Layer.scoped(
  Pki,
  Effect.map(folder, (root) => {
    const pki = new PkiMaker(root)
    for (const authority of ["good", "stranger"]) {
      pki.authority(authority)
      pki.issue(authority, authority, "server", here)
      pki.issue(authority, authority, "client")
    }
    pki.issue("good", "expired", "server", { ...here, from: "2001-01-01 00:00:00", until: "2002-01-01 00:00:00" })
    pki.issue("good", "early", "server", { ...here, from: "2101-01-01 00:00:00", until: "2102-01-01 00:00:00" })
    pki.issue("good", "misnamed", "server", { names: ["other.example"], addresses: ["192.0.2.1"] })
    pki.issue("good", "misused", "server", { ...here, use: "tls_www_client" })
    pki.issue("good", "revoked", "server", here)
    pki.revoke("good", pki.path("revocations.pem"), pki.path("revoked", "server-cert.pem"))
    mkdirSync(pki.path("psk"))
    // Without these qemu-nbd looks for large prime numbers every time that it starts.
    run("certtool", "--get-dh-params", "--bits=2048", "--outfile", pki.path("psk", "dh-params.pem"))
    copyFileSync(pki.path("psk", "dh-params.pem"), pki.path("good", "dh-params.pem"))
    for (const user of ["alice", "bob"]) run("psktool", "--username", user, "--pskfile", pki.path("psk", "keys.psk"))
    return pki
  })
)

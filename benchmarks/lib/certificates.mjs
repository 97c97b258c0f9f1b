/**
 * A certificate authority of a day, and a certificate of its for localhost, by GnuTLS's certtool. The folder has the
 * names that nbdkit and libnbd expect in it.
 */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { run } from "./process.mjs"

const authorityTemplate = ["cn = benchmark", "ca", "cert_signing_key", "expiration_days = 1"]
const serverTemplate = [
  "cn = localhost",
  "dns_name = localhost",
  "ip_address = 127.0.0.1",
  "tls_www_server",
  "signing_key",
  "expiration_days = 1"
]

/** `folder` has the files, `authority` is the certificate to trust, `home` a home folder in which libnbd finds it. */
export const makeCertificates = async (parent) => {
  const home = join(parent, "home")
  const folder = join(parent, "pki")
  mkdirSync(folder)
  mkdirSync(join(home, ".pki"), { recursive: true })
  symlinkSync(folder, join(home, ".pki", "libnbd"))
  const at = (name) => join(folder, name)
  const template = (name, lines) => {
    writeFileSync(at(name), `${lines.join("\n")}\n`)
    return `--template=${at(name)}`
  }
  const key = (name) => run(["certtool", "--generate-privkey", "--key-type=ecdsa", `--outfile=${at(name)}`])
  await key("ca-key.pem")
  await key("server-key.pem")
  await run([
    "certtool",
    "--generate-self-signed",
    `--load-privkey=${at("ca-key.pem")}`,
    template("ca.info", authorityTemplate),
    `--outfile=${at("ca-cert.pem")}`
  ])
  await run([
    "certtool",
    "--generate-certificate",
    `--load-privkey=${at("server-key.pem")}`,
    `--load-ca-certificate=${at("ca-cert.pem")}`,
    `--load-ca-privkey=${at("ca-key.pem")}`,
    template("server.info", serverTemplate),
    `--outfile=${at("server-cert.pem")}`
  ])
  return { authority: at("ca-cert.pem"), folder, home }
}

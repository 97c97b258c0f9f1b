/**
 * @vates/nbd-client, the peer on npm. A path as port makes it connect to a Unix socket; it addresses whole blocks.
 */
import NbdClient from "@vates/nbd-client"
import { readFileSync } from "node:fs"

const clientFor = ({ host, path, port, tls }) =>
  new NbdClient({
    address: host ?? "localhost",
    port: path ?? port,
    exportname: "",
    // Whatever certificate is given, TLS is used, and nothing is verified.
    ...(tls !== undefined && { cert: readFileSync(tls.authority, "utf8") })
  })

export const read = async ({ blockBytes, depth, phases, target }) => {
  const client = clientFor(target)
  await client.connect()
  const loop = async (phase) => {
    for (let offset = phase.next(); offset >= 0; offset = phase.next()) {
      const sampled = phase.sample()
      const bytes = await client.readBlock(offset / blockBytes, blockBytes)
      phase.done(sampled, offset, bytes)
    }
  }
  for (const phase of phases) {
    phase.begin()
    await Promise.all(Array.from({ length: depth }, () => loop(phase)))
    phase.end()
  }
  await client.disconnect()
}

/** Connects and leaves, one time after the other. */
export const connect = async ({ phases, target }) => {
  for (const phase of phases) {
    phase.begin()
    for (let at = phase.next(); at >= 0; at = phase.next()) {
      const sampled = phase.sample()
      const client = clientFor(target)
      await client.connect()
      await client.disconnect()
      phase.done(sampled)
    }
    phase.end()
  }
}

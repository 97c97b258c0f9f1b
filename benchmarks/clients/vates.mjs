/**
 * @vates/nbd-client, the peer on npm. A path as port makes it connect to a Unix socket; it addresses whole blocks.
 */
import NbdClient from "@vates/nbd-client"

export const read = async ({ blockBytes, depth, phases, target: { host, path, port } }) => {
  const client = new NbdClient({ address: host ?? "localhost", port: path ?? port, exportname: "" })
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

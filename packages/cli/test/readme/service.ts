import { Handle } from "@effect-nbd/core"
import { TcpTransport } from "@effect-nbd/node"
import { Effect, Layer } from "effect"

// A ring of 4 KiB records on a network disk, as a service of the application.
export class Journal extends Effect.Service<Journal>()("app/Journal", {
  effect: Effect.gen(function*() {
    const disk = yield* Handle.Connected
    const offsetOf = (index: bigint) => index * 4096n % disk.export.size
    return {
      append: (index: bigint, record: Uint8Array) => disk.write(offsetOf(index), record, { fua: true }),
      read: (index: bigint) => disk.read(offsetOf(index), 4096)
    }
  })
}) {}

const Disk = Handle.layer({ exportName: "journal" })
const Network = TcpTransport.layer({ host: "storage.example", port: "nbd" })

export const JournalLive = Journal.Default.pipe(Layer.provide(Disk), Layer.provide(Network))

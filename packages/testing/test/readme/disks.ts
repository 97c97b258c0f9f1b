import { Disk } from "@effect-nbd/server"
import { FakeServer } from "@effect-nbd/testing"
import { Effect } from "effect"

// Every sector holds its own number, and the second half cannot be read.
const numbered: Disk.Disk = {
  read: (offset, length) =>
    offset < 524_288n
      ? Effect.sync(() => Uint8Array.from({ length }, (_, index) => (Number(offset) + index) >> 9))
      : new Disk.DiskError({ errno: "EIO", reason: "behind the scratch", offset })
}

export const server = FakeServer.layer({
  exports: [
    { name: "numbered", size: 1_048_576, disk: numbered },
    {
      name: "backup",
      size: 2n ** 40n,
      blockSize: { minimum: 512, preferred: 4096, maximum: 1_048_576 },
      dirtyBitmaps: [{ name: "monday", dirty: [{ offset: 0, length: 4096 }] }],
      contexts: [{ name: "x-lab:heat", status: (_, length) => Effect.succeed([{ length, flags: 37n }]) }]
    }
  ],
  extendedHeaders: false
})

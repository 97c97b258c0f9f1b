import { BlockDevice, DeviceError } from "@effect-nbd/block"
import { FakeServer } from "@effect-nbd/testing"
import { Effect, Layer } from "effect"

// Every sector holds its own number, and the second half cannot be read.
const numbered = BlockDevice.fromFunctions({
  size: 1_048_576n,
  readInto: (offset, destination) =>
    offset < 524_288n
      ? Effect.sync(() => destination.set(destination.map((_, index) => (Number(offset) + index) >> 9)))
      : new DeviceError.DeviceError({
        device: "numbered",
        operation: "read",
        offset,
        length: BigInt(destination.byteLength),
        errno: "EIO",
        reason: "behind the scratch"
      })
})

export const server = Layer.unwrapEffect(Effect.map(numbered, (device) =>
  FakeServer.layer({
    exports: [
      { name: "numbered", device },
      {
        name: "backup",
        size: 2n ** 40n,
        blockSize: { minimum: 512, preferred: 4096, maximum: 1_048_576 },
        dirtyBitmaps: [{ name: "monday", dirty: [{ offset: 0, length: 4096 }] }],
        contexts: [{ name: "x-lab:heat", status: (_, length) => Effect.succeed([{ length, flags: 37n }]) }]
      }
    ],
    extendedHeaders: false
  })))

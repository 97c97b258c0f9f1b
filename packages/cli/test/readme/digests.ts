import type { Handle } from "@effect-nbd/core"
import { Effect, Stream } from "effect"
import { createHash } from "node:crypto"

const mebibyte = 1_048_576n

// The digest of each MiB of a disk, to see what has changed. The bytes are borrowed: memory of the connection's own, which
// the next read uses again, and which the system itself fills.
export const digests = (disk: Handle.Connected) =>
  Stream.iterate(0n, (offset) => offset + mebibyte).pipe(
    Stream.takeWhile((offset) => offset < disk.export.size),
    Stream.mapEffect((offset) => {
      const left = disk.export.size - offset
      const length = Number(left < mebibyte ? left : mebibyte)
      return disk.readBorrowed(
        offset,
        length,
        (bytes) => Effect.sync(() => ({ offset, sha256: createHash("sha256").update(bytes).digest("hex") }))
      )
    }, { concurrency: 8 })
  )

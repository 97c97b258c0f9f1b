import { Extents, type Handle, MetaContext } from "@effect-nbd/core"
import { Effect, Option, Stream } from "effect"

// What an incremental backup saves: everything that was written since the dirty bitmap `monday` began.
export const monday = MetaContext.qemuDirtyBitmap("monday")

const mebibyte = 1_048_576n

const piecesOf = ({ length, offset }: Extents.MappedExtent) =>
  Stream.unfold(0n, (done) => {
    const left = length - done
    if (left <= 0n) return Option.none()
    const piece = { offset: offset + done, length: Number(left < mebibyte ? left : mebibyte) }
    return Option.some([piece, done + mebibyte])
  })

// For a handle that was connected with `metaContexts: [monday]`: a server without that bitmap has then been refused.
export const changes = (disk: Handle.Connected) =>
  disk.extents({ contexts: [monday] }).pipe(
    Stream.filter((extent) => Extents.flagsOf(extent, monday) === 1n),
    Stream.flatMap(piecesOf),
    Stream.mapEffect(
      ({ length, offset }) => Effect.map(disk.read(offset, length), (bytes) => ({ offset, bytes })),
      { concurrency: 8 }
    )
  )

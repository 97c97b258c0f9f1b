import type { Handle } from "@effect-nbd/core"
import { Data, Effect, Schedule } from "effect"

export class SectorError extends Data.TaggedError("SectorError")<{ readonly sector: bigint; readonly why: string }> {}

// What to do about a failed read follows from its tag alone.
export const readSector = (disk: Handle.Connected, sector: bigint) => {
  const because = (why: string) => new SectorError({ sector, why })
  return disk.read(sector * 512n, 512).pipe(
    // The server failed this request and no other one: it may do better soon.
    Effect.retry({ while: ({ _tag }) => _tag === "NbdCommandError", times: 3, schedule: Schedule.spaced("20 millis") }),
    Effect.catchTags({
      NbdCommandError: (error) => because(`the server says ${error.errno} ${error.serverMessage}`),
      // Refused by the client: nothing was sent.
      NbdOutOfBoundsError: (error) => because(`the disk ends at ${error.exportSize}`),
      // Sent, but the connection ended before the answer came. The other one: it had ended before.
      NbdCommandLostError: (error) => because(`lost: ${error.reason.message}`),
      NbdHandleDeadError: (error) => because(`dead: ${error.reason.message}`)
    })
  )
}

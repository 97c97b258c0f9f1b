import { type Decider, NbdServer, Observer } from "@effect-nbd/server"
import { Effect } from "effect"

// Zeroing takes its time, and who asks for it is written down.
const slowZeroes: Decider.Decider = {
  decide: (_session, { command }) =>
    command === 6 ? Effect.succeed({ _tag: "Delay", duration: "20 millis" }) : undefined,
  release: () => {},
  forget: () => {}
}

export const server = (log: (text: string) => void) =>
  NbdServer.make({
    exports: [{ name: "disk", size: 1_048_576 }],
    decider: slowZeroes,
    observer: {
      ...Observer.none,
      request: (session, { command, length, offset }) =>
        log(`session ${session}: command ${command}, ${length} bytes at ${offset}`)
    }
  })

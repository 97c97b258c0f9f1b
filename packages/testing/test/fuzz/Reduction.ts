/** Makes a case that fails smaller, as long as it fails in the same way. */
import { Transcript } from "@effect-nbd/testing"
import { type Case, run } from "./Cases.ts"
import { piecesOf } from "./Mutation.ts"

/** The first line of a fault, without what changes from run to run. */
export const signatureOf = (fault: string): string => {
  const [what = "", ...stack] = fault.split("\n")
  const frame = stack.find((line) => line.includes("packages/") && !line.includes("/fuzz/")) ?? ""
  const place = /([\w.]+\.[tj]s):(\d+)/.exec(frame)?.[1] ?? ""
  return `${what.replaceAll(/\d+/g, "N")}${place === "" ? "" : ` (${place})`}`
}

type Events = ReadonlyArray<Transcript.TranscriptEvent>

const atMost = 1500

/** Delta debugging: first whole messages, then stretches of the bytes that are played. */
export const reduce = async (found: Case, signature: string): Promise<Case> => {
  const budget = { left: atMost }
  const fails = async (one: Case): Promise<boolean> => {
    if (budget.left-- <= 0) return false
    const { faults } = await run(one)
    return faults.some((fault) => signatureOf(fault) === signature)
  }
  const withEvents = (one: Case, events: Events): Case => ({ ...one, transcript: Transcript.make(events) })

  let best = found
  for (const seed of [0, 1, 2]) {
    if (best.seed === seed) break
    if (await fails({ ...best, seed })) {
      best = { ...best, seed }
      break
    }
  }
  for (const name of best.misbehaviours ?? []) {
    const misbehaviours = (best.misbehaviours ?? []).filter((other) => other !== name)
    if (await fails({ ...best, misbehaviours })) best = { ...best, misbehaviours }
  }
  for (let wasSmaller = true; wasSmaller && budget.left > 0;) {
    wasSmaller = false
    for (const side of ["server", "client"] as const) {
      let pieces: Events = piecesOf(best.transcript, side).map(({ event }) => event)
      for (let size = pieces.length >> 1; size > 0; size >>= 1) {
        // What the other side said stays readable: its first words tell how the rest is read.
        for (let at = side === found.side ? 0 : firstOf(pieces, side) + 1; at < pieces.length;) {
          const fewer = [...pieces.slice(0, at), ...pieces.slice(at + size)]
          const smaller = withEvents(best, fewer)
          if (fewer.length < pieces.length && await fails(smaller)) {
            ;[best, pieces, wasSmaller] = [smaller, fewer, true]
          } else at += size
        }
      }
    }
    const { events } = best.transcript
    for (let index = 0; index < events.length; index++) {
      const smaller = await reduceBytes(best, index, (events) => fails(withEvents(best, events)))
      if (smaller !== undefined) {
        best = withEvents(best, smaller)
        wasSmaller = true
        break
      }
    }
  }
  return best
}

const firstOf = (events: Events, side: Transcript.Side): number =>
  events.findIndex((event) => event._tag === "Bytes" && event.from === side)

/** The events with fewer bytes in one of them, or `undefined` where none can go. */
const reduceBytes = async (
  { side, transcript: { events } }: Case,
  index: number,
  fails: (events: Events) => Promise<boolean>
): Promise<Events | undefined> => {
  const event = events[index]
  if (event?._tag !== "Bytes" || event.from !== side) return undefined
  const replaced = (bytes: Uint8Array): Events => events.map((other, at) => at === index ? { ...event, bytes } : other)
  const { bytes } = event
  for (let size = bytes.byteLength >> 1; size > 0; size >>= 1) {
    for (let at = 0; at + size <= bytes.byteLength; at += size) {
      const fewer = Uint8Array.of(...bytes.subarray(0, at), ...bytes.subarray(at + size))
      if (fewer.byteLength > 0 && await fails(replaced(fewer))) return replaced(fewer)
    }
  }
  return undefined
}

/**
 * The read side of a connection, between a Node stream and a core `Receiver`.
 *
 * It keeps the promises of the seam for any stream: nothing before the first `receive`, nothing while the
 * receiver holds bytes back, nothing from inside a call, the end once and after the last byte, silence after `close`.
 * It knows neither sockets nor child processes.
 *
 * @since 0.1.0
 * @internal
 */
import type { ConnectionEnd, Receiver } from "@effect-nbd/core/Transport"

/**
 * What bytes come from, and how to hold it back.
 *
 * @since 0.1.0
 * @category models
 */
export interface Source {
  readonly pause: () => void
  readonly resume: () => void
}

/**
 * `push`, `end` and `drained` are for the source; `receive`, `resume` and `close` are those of a core `Connection`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Delivery {
  /** Takes borrowed bytes. `false`: the source has been paused. Bytes that cannot be handed on now are copied. */
  readonly push: (bytes: Uint8Array) => boolean
  /** Where the next bytes that are pushed may be put beforehand. Asked again after each. */
  readonly place: () => Uint8Array | undefined
  /** Tells the end once everything pushed before it has been taken. Only the first end counts. */
  readonly end: (end: ConnectionEnd) => void
  /** Tells that there is room for writes again. */
  readonly drained: () => void
  readonly receive: (receiver: Receiver) => void
  readonly resume: () => void
  readonly close: () => void
  /** Runs a call into the stream; what the stream says from inside it is told in a later turn. */
  readonly during: <A>(call: () => A) => A
  /** Whether the receiver asked for no more bytes. */
  readonly isHeld: () => boolean
  /** Whether nothing waits to be told: no bytes, and no end. */
  readonly isEmpty: () => boolean
}

type Phase =
  | { readonly _tag: "Waiting" }
  | { readonly _tag: "Flowing"; readonly receiver: Receiver }
  | { readonly _tag: "Held"; readonly receiver: Receiver }
  | { readonly _tag: "Over" }

type Flowing = Extract<Phase, { readonly _tag: "Flowing" }>

/**
 * The source has to be paused when it is given here: the first `receive` resumes it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (source: Source): Delivery => {
  let phase: Phase = { _tag: "Waiting" }
  let ending: ConnectionEnd | undefined
  let drainOwed = false
  /** Nonzero inside a call from the receiver's side, in which nothing may be told. */
  let calls = 0
  let scheduled = false
  const kept: Array<Uint8Array> = []

  const current = (): Phase => phase

  const hand = (to: Flowing, bytes: Uint8Array): boolean => {
    const more = to.receiver.onBytes(bytes)
    // The receiver may have closed, or given its place to another: then its answer means nothing any more.
    if (phase !== to) return phase._tag !== "Held"
    if (more) return true
    phase = { _tag: "Held", receiver: to.receiver }
    source.pause()
    return false
  }

  const schedule = (): void => {
    if (scheduled) return
    scheduled = true
    process.nextTick(flush)
  }

  const flush = (): void => {
    scheduled = false
    for (let now = current(); now._tag === "Flowing"; now = current()) {
      const next = kept.shift()
      if (next === undefined) break
      hand(now, next)
    }
    const now = current()
    if (now._tag === "Waiting" || now._tag === "Over") return
    if (drainOwed) {
      drainOwed = false
      now.receiver.onDrain()
    }
    if (kept.length > 0) return
    if (ending !== undefined) tell(ending)
    else if (current()._tag === "Flowing") source.resume()
  }

  const tell = (end: ConnectionEnd): void => {
    const last = current()
    phase = { _tag: "Over" }
    if (last._tag === "Flowing" || last._tag === "Held") last.receiver.onEnd(end)
  }

  const flow = (receiver: Receiver): void => {
    phase = { _tag: "Flowing", receiver }
    if (kept.length > 0 || ending !== undefined || drainOwed) schedule()
    else source.resume()
  }

  return {
    push(bytes) {
      if (phase._tag === "Over") return true
      if (phase._tag === "Flowing" && calls === 0 && kept.length === 0) return hand(phase, bytes)
      kept.push(new Uint8Array(bytes))
      source.pause()
      if (phase._tag === "Flowing") schedule()
      return false
    },
    place: () => phase._tag === "Flowing" && calls === 0 && kept.length === 0 ? phase.receiver.place?.() : undefined,
    end(end) {
      if (phase._tag === "Over" || ending !== undefined) return
      ending = end
      if (phase._tag === "Waiting" || kept.length > 0) return
      if (calls > 0) schedule()
      else tell(end)
    },
    drained() {
      if (phase._tag === "Over") return
      if (phase._tag !== "Waiting" && calls === 0) phase.receiver.onDrain()
      else {
        drainOwed = true
        if (phase._tag !== "Waiting") schedule()
      }
    },
    receive(receiver) {
      if (phase._tag !== "Over") flow(receiver)
    },
    resume() {
      if (phase._tag === "Held") flow(phase.receiver)
    },
    close() {
      phase = { _tag: "Over" }
      kept.length = 0
    },
    during(call) {
      calls++
      try {
        return call()
      } finally {
        calls--
      }
    },
    isHeld: () => phase._tag === "Held",
    isEmpty: () => kept.length === 0 && ending === undefined
  }
}

/**
 * Whose turn it is to work. All sessions of a server have one thread, and requests that are there already are done without
 * a pause: without turns, a client that sends many would keep the thread from everything else.
 *
 * - After 4 ms of work the event loop turns: sockets, timers and signals have theirs. It goes by time, and not by the number
 *   of requests, since some take a thousand times as long as others.
 * - Where several sessions have work, that one goes first which has had the least time. One that was idle has saved up no
 *   more than 4 ms of it.
 *
 * A session asks before each request, each option and each reply that is made aside. One request is never interrupted: how
 * much one may ask for is bounded elsewhere.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

/** Milliseconds of work before the event loop turns. */
const longestTurn = 4

/** Milliseconds of work that a session may be ahead of one that waits: to change after each request would cost more. */
const lead = 1

/**
 * Most of those who wait that are woken at once. Who finds no time left has to wait again, so they are the fewer the longer
 * they take.
 */
const mostAtOnce = 16

/**
 * Time, and a way to go on when the event loop has turned.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pace {
  /** Milliseconds, since any moment. */
  readonly now: () => number
  readonly afterTurn: (goOn: () => void) => void
}

/** Taken before a test can put a pretended one in its place. Where there is none, a timer will do. */
const immediate: unknown = Reflect.get(globalThis, "setImmediate")

const realPace: Pace = {
  now: () => performance.now(),
  afterTurn: (goOn) => {
    if (typeof immediate === "function") Reflect.apply(immediate, undefined, [goOn])
    else setTimeout(goOn, 0)
  }
}

/**
 * The turns of one server.
 *
 * @since 0.1.0
 * @category models
 */
export class Turns {
  private readonly pace: Pace
  private readonly waiting = new Set<Place>()
  /** The least work that anybody who waits has had. */
  private least = Infinity
  /** Work that every session is taken to have had, but for one turn. */
  private floor = 0
  /** When work began in this turn of the event loop; `undefined` before that. */
  private began: number | undefined
  private working: Place | undefined
  private atOnce = mostAtOnce
  private hasRunOut = false
  private since = 0

  constructor(pace: Pace = realPace) {
    this.pace = pace
  }

  /** `undefined`: go on at once. Otherwise go on when this is done. */
  ask(place: Place): Effect.Effect<void> | undefined {
    const now = this.pace.now()
    this.charge(now)
    if (this.began === undefined) {
      this.began = now
      this.pace.afterTurn(this.turned)
    }
    place.work = Math.max(place.work, this.floor - longestTurn)
    const isOver = now - this.began >= longestTurn
    this.hasRunOut ||= isOver
    if (!isOver && place.work <= this.least + lead) {
      this.working = place
      // What was done while nobody waited was at nobody's cost.
      if (this.waiting.size === 0) this.floor = Math.max(this.floor, place.work)
      return undefined
    }
    return Effect.flatMap(this.woken(place), () => this.ask(place) ?? Effect.void)
  }

  private woken(place: Place): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      const wake = () => resume(Effect.void)
      place.waiting.add(wake)
      this.waiting.add(place)
      this.least = Math.min(this.least, place.work)
      return Effect.sync(() => {
        place.waiting.delete(wake)
        if (place.waiting.size === 0) this.waiting.delete(place)
        this.least = leastOf(this.waiting)
      })
    })
  }

  /** What was done since the last question was for whoever asked it. */
  private charge(now: number): void {
    if (this.working !== undefined) this.working.work += now - this.since
    this.working = undefined
    this.since = now
  }

  private readonly turned = (): void => {
    this.charge(this.pace.now())
    this.began = undefined
    this.atOnce = this.hasRunOut ? Math.max(1, this.atOnce >> 1) : Math.min(mostAtOnce, 2 * this.atOnce)
    this.hasRunOut = false
    if (this.waiting.size === 0) return
    const next = [...this.waiting].toSorted((a, b) => a.work - b.work).slice(0, this.atOnce)
    this.floor = Math.max(this.floor, this.least)
    const each = Math.ceil(this.atOnce / next.length)
    for (const place of next) {
      for (const wake of [...place.waiting].slice(0, each)) {
        place.waiting.delete(wake)
        wake()
      }
      if (place.waiting.size === 0) this.waiting.delete(place)
    }
    this.least = leastOf(this.waiting)
  }
}

const leastOf = (places: Iterable<Place>): number => {
  let least = Infinity
  for (const { work } of places) least = Math.min(least, work)
  return least
}

/**
 * One session's place among the others.
 *
 * @since 0.1.0
 * @category models
 */
export class Place {
  /** Milliseconds of work that it has had, and at least what it is taken to have had. */
  work = 0
  /** Whoever of this session waits, in order of arrival. */
  readonly waiting = new Set<() => void>()
  private readonly turns: Turns

  constructor(turns: Turns) {
    this.turns = turns
  }

  /** `undefined`: go on at once. Otherwise go on when this is done. */
  get turn(): Effect.Effect<void> | undefined {
    return this.turns.ask(this)
  }
}

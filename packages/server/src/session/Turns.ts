/**
 * Which session may work next. All sessions of a server share one thread, and requests that have already arrived are
 * carried out without a pause. Without turns, a client that sends many requests would block everything else on the
 * thread.
 *
 * - After 4 ms of work the event loop runs once, so that sockets, timers and signals are handled. Time is counted, not
 *   the number of requests, because some requests take a thousand times as long as others.
 * - If several sessions have work, the session that has had the least time goes first. A session that was idle gets at
 *   most 4 ms of advantage from it.
 *
 * A session asks for its turn before each request, before each option, and before each reply that is made by another
 * fiber. A request is never interrupted: other code limits how much one request may ask for.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

/** Milliseconds of work before the event loop turns. */
const longestTurn = 4

/**
 * How many milliseconds of work a session may have more than one that waits. A change after each request would cost
 * more.
 */
const lead = 1

/**
 * The largest number of waiting fibers that are woken at once. A fiber that finds no time left has to wait again, so
 * fewer are woken if their work takes longer.
 */
const mostAtOnce = 16

/**
 * Time, and a way to go on when the event loop has turned.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pace {
  /** Milliseconds, counted from any fixed time. */
  readonly now: () => number
  readonly afterTurn: (goOn: () => void) => void
}

/** Stored before a test can replace it by a fake one. If the platform does not have it, a timer is used. */
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
  /** The least work of all sessions that wait. */
  private least = Infinity
  /** Every session counts as having had at least this much work, less one turn. */
  private floor = 0
  /** When work began in this turn of the event loop; `undefined` if it has not begun. */
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
      // Work that is done while no session waits gives the other sessions no advantage later.
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

  /** The time since the last call of `ask` counts as work of the session that made that call. */
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
 * One session, as `Turns` sees it.
 *
 * @since 0.1.0
 * @category models
 */
export class Place {
  /** Milliseconds of work that the session has had, or counts as having had if that is more. */
  work = 0
  /** The fibers of this session that wait, in order of arrival. */
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

/**
 * What becomes of bytes on their way: how writes are cut, how long they take, and where it ends.
 *
 * These are values alone; a Lane does what they say.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"

/**
 * How writes are cut and joined on their way, at most 65,536 bytes at a time.
 *
 * - `Whole`: each write by itself.
 * - `Bytes`: one byte at a time.
 * - `Coalesced`: everything written in one turn together.
 * - `Random`: cuts and joins that depend on the seed alone.
 *
 * @since 0.1.0
 * @category models
 */
export type Cuts =
  | { readonly _tag: "Whole" }
  | { readonly _tag: "Bytes" }
  | { readonly _tag: "Coalesced" }
  | { readonly _tag: "Random"; readonly seed: number }

/**
 * What happens once so many bytes have gone one way.
 *
 * - `Open`: nothing.
 * - `Finish`: that half ends in order after them; what is written later is lost.
 * - `Reset`: they arrive, and then the connection breaks in both directions, as by `ECONNRESET`.
 * - `Stall`: nothing more arrives, and no end either; a writer is held back as by a peer that does not read.
 *
 * @since 0.1.0
 * @category models
 */
export type Fate =
  | { readonly _tag: "Open" }
  | { readonly _tag: "Finish" | "Reset" | "Stall"; readonly after: number }

/**
 * What becomes of the bytes of one direction.
 *
 * @since 0.1.0
 * @category models
 */
export interface Delivery {
  readonly cuts: Cuts
  /** How long each write, and an orderly end, is under way. Order is kept. */
  readonly delay: Duration.Duration
  readonly fate: Fate
}

/**
 * A delivery for each direction.
 *
 * @since 0.1.0
 * @category models
 */
export interface Directions {
  readonly toServer: Delivery
  readonly toClient: Delivery
}

const cutting = (cuts: Cuts): Delivery => ({ cuts, delay: Duration.zero, fate: { _tag: "Open" } })

/**
 * Each write arrives by itself.
 *
 * @since 0.1.0
 * @category constructors
 */
export const whole: Delivery = cutting({ _tag: "Whole" })

/**
 * Every byte arrives by itself.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bytes: Delivery = cutting({ _tag: "Bytes" })

/**
 * Everything written in one turn arrives together.
 *
 * @since 0.1.0
 * @category constructors
 */
export const coalesced: Delivery = cutting({ _tag: "Coalesced" })

/**
 * Writes are cut and joined at random, the same way for the same seed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const random = (seed: number): Delivery => cutting({ _tag: "Random", seed })

/**
 * Each write takes that long, on the clock of the Effect that opens the pipe: under a TestClock it arrives when the clock
 * is moved.
 *
 * @since 0.1.0
 * @category constructors
 */
export const delayed = (duration: Duration.DurationInput, delivery: Delivery = whole): Delivery => ({
  ...delivery,
  delay: Duration.decode(duration)
})

/**
 * A direction that ends in order after `count` bytes; the other one stays open.
 *
 * @since 0.1.0
 * @category constructors
 */
export const finishAfter = (count: number, delivery: Delivery = whole): Delivery => ({
  ...delivery,
  fate: { _tag: "Finish", after: count }
})

/**
 * Both directions break once `count` bytes of this one have arrived; what is under way in the other one is lost.
 *
 * @since 0.1.0
 * @category constructors
 */
export const resetAfter = (count: number, delivery: Delivery = whole): Delivery => ({
  ...delivery,
  fate: { _tag: "Reset", after: count }
})

/**
 * Nothing arrives after `count` bytes, not even an end in order; a reset does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const stallAfter = (count: number, delivery: Delivery = whole): Delivery => ({
  ...delivery,
  fate: { _tag: "Stall", after: count }
})

/**
 * Each direction by itself.
 *
 * @since 0.1.0
 * @category getters
 */
export const directionsOf = (delivery: Delivery | Directions): Directions =>
  "toServer" in delivery ? delivery : { toServer: delivery, toClient: delivery }

/**
 * Every way of delivery that loses nothing, by name: what behaves well under one has to under all of them. `delayed` is
 * one millisecond, and needs a clock that moves.
 *
 * @since 0.1.0
 * @category constants
 */
export const policies: ReadonlyArray<readonly [name: string, delivery: Delivery]> = [
  ["whole", whole],
  ["bytes", bytes],
  ["coalesced", coalesced],
  ["random", random(20_260)],
  ["delayed", delayed("1 millis")]
]

/**
 * The delivery that the setting `EFFECT_NBD_DELIVERY` names, one of `policies` or `random:SEED`; `whole` where there is
 * no such setting.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromConfig: Config.Config<Delivery> = Config.string("EFFECT_NBD_DELIVERY").pipe(
  Config.mapOrFail((name) => {
    const seed = /^random:(\d{1,10})$/.exec(name)?.[1]
    const delivery = seed === undefined ? new Map(policies).get(name) : random(Number(seed))
    return delivery === undefined
      ? Either.left(ConfigError.InvalidData([], `${names} or random:SEED, and not ${JSON.stringify(name)}`))
      : Either.right(delivery)
  }),
  Config.withDefault(whole)
)

const names = policies.map(([name]) => name).join(", ")

/**
 * What `info` is asked for: one of several things that exclude each other.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ability from "./Ability.ts"
import { UsageError } from "./Failure.ts"

/**
 * @since 0.1.0
 * @category models
 */
export type InfoMode =
  | { readonly _tag: "Export" }
  | { readonly _tag: "List" }
  | { readonly _tag: "Size" }
  | { readonly _tag: "Uri" }
  | {
    readonly _tag: "Map"
    /** At least one, each once. */
    readonly contexts: ReadonlyArray<string>
    readonly totals: boolean
    readonly offset: bigint
    readonly length: Option.Option<bigint>
  }
  | { readonly _tag: "Question"; readonly ability: Ability.Ability; readonly expected: boolean }

/**
 * The options that say so, as they are on the command line.
 *
 * @since 0.1.0
 * @category models
 */
export interface Given {
  readonly list: boolean
  readonly size: boolean
  readonly uriOnly: boolean
  readonly map: ReadonlyArray<string>
  readonly totals: boolean
  readonly offset: Option.Option<bigint>
  readonly length: Option.Option<bigint>
  readonly can: Option.Option<string>
  readonly cannot: Option.Option<string>
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (given: Given): Effect.Effect<InfoMode, UsageError> =>
  Effect.gen(function*() {
    const modes: Array<InfoMode> = []
    if (given.list) modes.push({ _tag: "List" })
    if (given.size) modes.push({ _tag: "Size" })
    if (given.uriOnly) modes.push({ _tag: "Uri" })
    if (given.map.length > 0) {
      modes.push({
        _tag: "Map",
        contexts: [...new Set(given.map)],
        totals: given.totals,
        offset: Option.getOrElse(given.offset, () => 0n),
        length: given.length
      })
    } else if (given.totals || Option.isSome(given.offset) || Option.isSome(given.length)) {
      return yield* new UsageError({ reason: "--totals, --offset and --length are for --map (see --help)" })
    }
    if (Option.isSome(given.can)) modes.push(yield* question(given.can.value, true))
    if (Option.isSome(given.cannot)) modes.push(yield* question(given.cannot.value, false))
    const [mode = { _tag: "Export" }, other] = modes
    if (other === undefined) return mode
    return yield* new UsageError({
      reason: "only one of --list, --map, --size, --uri, --can and --cannot is possible (see --help)"
    })
  })

const question = (word: string, expected: boolean): Effect.Effect<InfoMode, UsageError> => {
  const ability = Ability.parse(word)
  return ability === undefined
    ? Effect.fail(
      new UsageError({ reason: `${JSON.stringify(word)} is none of the words to ask for: ${Ability.words.join(", ")}` })
    )
    : Effect.succeed({ _tag: "Question", ability, expected })
}

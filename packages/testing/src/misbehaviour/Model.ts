/**
 * What a misbehaviour is: a name, a rule, a sentence, what a client should make of it, and what is said in place of what
 * the honest server would say.
 *
 * It is data and a function without effects: a value can serve in any number of servers at a time.
 *
 * @since 0.1.0
 */
import type { ReplyStyle } from "@effect-nbd/core/Export"
import { optionCode, type OptionName } from "@effect-nbd/core/wire/NbdOption"
import type { Moment as Due } from "@effect-nbd/server/Speaker"
import type { RecordedRequest } from "../Recording.ts"
import type { Frame } from "./Frame.ts"

/**
 * What a client should make of it.
 *
 * - `Connection`: the connection is of no use any more. Every pending request fails once, and later ones fail at once.
 * - `Request`: that request fails, and no other.
 * - `Option`: that option fails, and haggling goes on.
 * - `Tolerated`: nothing fails.
 * - `Guarded`: no byte is wrong, or none comes: a limit of the client's must find it out.
 *
 * @since 0.1.0
 * @category models
 */
export type Reaction = "Connection" | "Request" | "Option" | "Tolerated" | "Guarded"

/**
 * When the server has something to say, or would say nothing: what `Speaker` of the server calls a moment, with requests as
 * they are recorded.
 *
 * @since 0.1.0
 * @category models
 */
export type Moment =
  | Exclude<Due, { readonly request: unknown }>
  | (AboutRequest & { readonly _tag: "Payload" })
  | (AboutRequest & { readonly _tag: "Answer" })

/**
 * @since 0.1.0
 * @category models
 */
export interface AboutRequest {
  readonly session: number
  readonly request: RecordedRequest
  readonly replyStyle: ReplyStyle
}

/**
 * What is said at one moment, and what the server does then.
 *
 * - `GoOn`: what it would have done anyway.
 * - `End`: ends its half of the connection in order, and says nothing any more.
 * - `Break`: breaks the connection once what was said has arrived.
 * - `Silence`: says nothing any more, and goes on taking what comes.
 * - `Deaf`: takes no message of the client's any more, and goes on answering those before. Such a session stays until the
 *   server is closed or kills it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Speech {
  readonly frames: ReadonlyArray<Frame>
  readonly afterwards: "GoOn" | "End" | "Break" | "Silence" | "Deaf"
}

/**
 * Where it applies, among the places where it could. Each limit that is left out is none.
 *
 * @since 0.1.0
 * @category models
 */
export interface Place {
  /** A session by its number, or some of them. */
  readonly session?: number | ((session: number) => boolean)
  /** Answers to one option, by its name without prefix or its code. */
  readonly option?: OptionName | number
  /** Answers to some requests. */
  readonly request?: (request: RecordedRequest) => boolean
  /** The first one, counted from 1, in all sessions of the server together. */
  readonly nth?: number
  /** How many times, from there on. */
  readonly times?: number
}

/**
 * One way of misbehaving.
 *
 * @since 0.1.0
 * @category models
 */
export interface Misbehaviour {
  /** As the value is called, for example `wrongOptionReplyMagic`. */
  readonly name: string
  /** The rule's number, for example `H-015`, or whatever else it is known by. */
  readonly rule: string
  /** What the server does, in a sentence. */
  readonly sentence: string
  readonly reaction: Reaction
  readonly place: Place
  /** What is said instead, or `undefined` where it does not apply. */
  readonly change: (speech: Speech, moment: Moment) => Speech | undefined
}

/**
 * The moments of one kind.
 *
 * @since 0.1.0
 * @category models
 */
export type MomentOf<Tag extends Moment["_tag"]> = Extract<Moment, { readonly _tag: Tag }>

/**
 * A misbehaviour of one's own. With `moment` it applies to moments of that kind; otherwise `change` is asked at every one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <Tag extends Moment["_tag"] = Moment["_tag"]>(definition: {
  readonly name: string
  readonly rule: string
  readonly sentence: string
  readonly reaction: Reaction
  readonly moment?: Tag
  readonly place?: Place
  readonly change: (speech: Speech, moment: MomentOf<Tag>) => Speech | undefined
}): Misbehaviour => {
  const { change, moment: wanted, name, place = {}, reaction, rule, sentence } = definition
  const isWanted = (moment: Moment): moment is MomentOf<Tag> => wanted === undefined || moment._tag === wanted
  return {
    name,
    rule,
    sentence,
    reaction,
    place,
    change: (speech, moment) => isWanted(moment) ? change(speech, moment) : undefined
  }
}

/**
 * The same at a chosen point. What is not said here stays as it was.
 *
 * @since 0.1.0
 * @category constructors
 */
export const at = (misbehaviour: Misbehaviour, place: Place): Misbehaviour => ({
  ...misbehaviour,
  place: { ...misbehaviour.place, ...place }
})

/**
 * Whether a moment is within the place, apart from the counting.
 *
 * @since 0.1.0
 * @category guards
 */
export const isWithin = (moment: Moment, { option, request, session }: Place): boolean => {
  if (typeof session === "number" && moment.session !== session) return false
  if (typeof session === "function" && !session(moment.session)) return false
  if (option !== undefined) {
    const code = typeof option === "number" ? option : optionCode[option]
    const answered = moment._tag === "ExportName" ? optionCode.EXPORT_NAME : undefined
    if ((moment._tag === "OptionAnswer" ? moment.option : answered) !== code) return false
  }
  if (request === undefined) return true
  return (moment._tag === "Answer" || moment._tag === "Payload") && request(moment.request)
}

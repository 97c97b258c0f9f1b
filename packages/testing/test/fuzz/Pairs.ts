/**
 * Misbehaviours by twos: each with each, before a client that gets to where both have something to change.
 *
 * Where that is, is asked of the misbehaviours themselves, with what an honest server says.
 */
import { optionName } from "@effect-nbd/core/wire/NbdOption"
import { Misbehaviour } from "@effect-nbd/testing"
import { isWithin } from "@effect-nbd/testing/misbehaviour/Model"
import { Random } from "./Random.ts"
import { signatureOf } from "./Reduction.ts"
import { overheard, type Said, type Style, styles, talk, type Way } from "./Talk.ts"

/** Two that are in force together, in this order: the second changes what the first has made. */
export type Pair = readonly [first: Misbehaviour.Misbehaviour, second: Misbehaviour.Misbehaviour]

/** A place where the server says something. */
interface Point {
  readonly name: string
  readonly place: Misbehaviour.Place
}

const pointOf = (moment: Misbehaviour.Moment): Point => {
  switch (moment._tag) {
    case "OptionAnswer":
      return { name: optionName(moment.option), place: { option: moment.option } }
    case "Payload":
    case "Answer": {
      const { code, flags, offset } = moment.request
      const isThat = (request: typeof moment.request): boolean =>
        request.code === code && request.flags === flags && request.offset === offset
      return { name: `${moment._tag} ${code} ${flags} ${offset}`, place: { request: isThat } }
    }
    default:
      return { name: moment._tag, place: {} }
  }
}

/** In the first session, which is the one that is looked at. */
const inFirst = (misbehaviour: Misbehaviour.Misbehaviour, place: Misbehaviour.Place = {}): Misbehaviour.Misbehaviour =>
  Misbehaviour.at(misbehaviour, { ...place, session: 1 })

/** What is said in each style, and what has something to change there. */
export class Atlas {
  readonly said: ReadonlyMap<Style, ReadonlyArray<Said>>
  private readonly known = new Map<string, ReadonlyMap<string, Point>>()

  private constructor(said: ReadonlyMap<Style, ReadonlyArray<Said>>) {
    this.said = said
  }

  static async make(): Promise<Atlas> {
    const said = new Map<Style, ReadonlyArray<Said>>()
    for (const style of styles) said.set(style, await overheard(style))
    return new Atlas(said)
  }

  /** By name. */
  points(style: Style, misbehaviour: Misbehaviour.Misbehaviour): ReadonlyMap<string, Point> {
    const key = `${style.name} ${misbehaviour.name}`
    const known = this.known.get(key)
    if (known !== undefined) return known
    const points = new Map<string, Point>()
    const { change, place } = inFirst(misbehaviour)
    for (const { moment, speech } of this.said.get(style) ?? []) {
      if (!isWithin(moment, place) || change(speech, moment) === undefined) continue
      const point = pointOf(moment)
      points.set(point.name, point)
    }
    this.known.set(key, points)
    return points
  }
}

/** Of the ones that repeat themselves, fewer times: until a client has enough of it is not what is looked at here. */
export const named: ReadonlyArray<Misbehaviour.Misbehaviour> = Misbehaviour.all.map((one) =>
  one.name === "endlessReplies" ? Misbehaviour.endlessReplies(100) : one
)

/** What throws where each two change the same thing that is said, one after the other, each thing in one style only. */
export const compose = (
  atlas: Atlas,
  catalogue = named
): { readonly faults: ReadonlyArray<string>; readonly count: number } => {
  const faults: Array<string> = []
  const seen = new Set<string>()
  let count = 0
  for (const { moment, speech } of [...atlas.said.values()].flat()) {
    const replyStyle = moment._tag === "Answer" ? moment.replyStyle : ""
    const key = `${pointOf(moment).name} ${replyStyle} ${speech.frames.map(encodedLength).join(" ")}`
    if (seen.has(key)) continue
    seen.add(key)
    for (const first of catalogue) {
      const changed = first.change(speech, moment)
      if (changed === undefined) continue
      for (const second of catalogue) {
        count++
        try {
          second.change(changed, moment)?.frames.forEach(Misbehaviour.encode)
        } catch (thrown) {
          faults.push(`${first.name} and ${second.name}: ${String(thrown)}`)
        }
      }
    }
  }
  return { faults, count }
}

const encodedLength = (frame: Misbehaviour.Frame): number => Misbehaviour.encode(frame).byteLength

/** Whether both have changed something in one session, and whether that was the same thing. */
export type Meeting = "Same" | "Both" | "Apart"

export interface Verdict {
  readonly faults: ReadonlyArray<string>
  readonly sessions: number
  readonly meeting: Meeting
}

/** Tells when it changes something. */
const telling = (
  misbehaviour: Misbehaviour.Misbehaviour,
  tell: (moment: Misbehaviour.Moment) => void
): Misbehaviour.Misbehaviour => ({
  ...misbehaviour,
  change: (speech, moment) => {
    const changed = misbehaviour.change(speech, moment)
    if (changed !== undefined) tell(moment)
    return changed
  }
})

/** Where both are in force, and how the client gets there. */
interface Scene {
  readonly style: Style
  readonly way: Way
  /** Where both have something to change, if there is such a place. */
  readonly common: Point | undefined
  /** How many of them have something to change. */
  readonly reach: number
}

const isAboutRequest = ({ common }: Scene): boolean => common !== undefined && /^(Answer|Payload) /.test(common.name)

const abort = "NBD_OPT_ABORT"

/**
 * Each style of replies, where both are about the same one. Otherwise the one style that is best, or as many as are
 * needed until they meet, where neither ends the connection. `turn` varies it.
 */
const scenesOf = (atlas: Atlas, pair: Pair, turn: number): ReadonlyArray<Scene> => {
  const [first, second] = pair
  const scenes = styles.map((style): Scene => {
    const [left, right] = [atlas.points(style, first), atlas.points(style, second)]
    const shared = [...left.values()].filter(({ name }) => right.has(name))
    const common = shared[turn % Math.max(1, shared.length)]
    const isLeaving = [left, right].some((points) => points.size === 1 && points.has(abort))
    const reach = Math.sign(left.size) + Math.sign(right.size)
    return { style, way: isLeaving || common?.name === abort ? "abort" : "go", common, reach }
  })
  const aboutRequests = scenes.slice(0, 3).filter(isAboutRequest)
  if (aboutRequests.length > 0) return aboutRequests
  const best = [
    scenes.filter(({ common }) => common !== undefined),
    scenes.filter(({ reach }) => reach === 2),
    scenes.filter(({ reach }) => reach > 0)
  ].find((found) => found.length > 0) ?? []
  const from = turn % Math.max(1, best.length)
  const turned = [...best.slice(from), ...best.slice(0, from)]
  return pair.some(({ reaction }) => reaction === "Connection" || reaction === "Guarded") ? turned.slice(0, 1) : turned
}

/** Where an answer is not needed for what follows. */
const aside = "NBD_OPT_LIST"

/**
 * Both together: wherever they apply. Where they have not changed the same thing, once more at a place where both can; or,
 * where there is none, with what would refuse every option on the way at one that is not needed.
 */
export const play = async (atlas: Atlas, pair: Pair, turn = 0): Promise<Verdict> => {
  const faults: Array<string> = []
  const meetings: Array<Meeting> = []

  const playAt = async (
    { style, way }: Scene,
    place: (one: Misbehaviour.Misbehaviour) => Misbehaviour.Place = () => ({})
  ) => {
    const moments = [new Set<Misbehaviour.Moment>(), new Set<Misbehaviour.Moment>()] as const
    const [changed, other] = moments
    const inForce = [
      telling(inFirst(pair[0], place(pair[0])), (moment) => changed.add(moment)),
      telling(inFirst(pair[1], place(pair[1])), (moment) => other.add(moment))
    ]
    faults.push(...await talk(style, way, inForce))
    const isSame = [...changed].some((moment) => other.has(moment))
    const meeting = isSame ? "Same" : changed.size > 0 && other.size > 0 ? "Both" : "Apart"
    meetings.push(meeting)
    return meeting
  }

  for (const scene of scenesOf(atlas, pair, turn)) {
    const { common, reach, style } = scene
    if (!isAboutRequest(scene) && meetings.some((meeting) => meeting !== "Apart")) break
    const meeting = await playAt(scene)
    if (meeting === "Same") continue
    const asideOf = (one: Misbehaviour.Misbehaviour) => atlas.points(style, one).get(aside)?.place
    if (common !== undefined) await playAt(scene, () => common.place)
    else if (meeting === "Apart" && reach === 2 && pair.some((one) => asideOf(one) !== undefined)) {
      await playAt(scene, (one) => asideOf(one) ?? {})
    }
  }
  const meeting = (["Same", "Both"] as const).find((one) => meetings.includes(one)) ?? "Apart"
  return { faults, sessions: meetings.length, meeting }
}

/** All pairs in both orders, those of one with itself included, in an order that the seed settles. */
export const allPairs = (seed: number): ReadonlyArray<Pair> =>
  shuffled(seed, named.flatMap((first) => named.map((second): Pair => [first, second])))

/** Some of them: each misbehaviour is in one. */
export const somePairs = (seed: number): ReadonlyArray<Pair> => {
  const all = shuffled(seed, named)
  return all.flatMap((first, index) => {
    const second = all[index + 1]
    return second === undefined || index % 2 === 1 ? [] : [[first, second] as const]
  })
}

/** By their names. */
export const pairOf = (first: string, second: string): Pair => {
  const find = (name: string) => named.find((one) => one.name === name) ?? Misbehaviour.noReply
  return [find(first), find(second)]
}

const shuffled = <A>(seed: number, items: ReadonlyArray<A>): ReadonlyArray<A> => {
  const random = new Random(seed)
  const left = [...items]
  return items.flatMap(() => left.splice(random.below(left.length), 1))
}

export interface Figures {
  readonly pairs: number
  readonly sessions: number
  readonly meetings: { readonly [M in Meeting]: number }
  /** The names of two and what is wrong with them, one for each kind of fault. */
  readonly findings: ReadonlyMap<string, string>
}

/** Each of the pairs, for as long as it goes on. */
export const playAll = async (
  atlas: Atlas,
  pairs: ReadonlyArray<Pair>,
  goesOn: (figures: Figures) => boolean = () => true
): Promise<Figures> => {
  const findings = new Map<string, string>()
  const meetings = { Same: 0, Both: 0, Apart: 0 }
  let figures: Figures = { pairs: 0, sessions: 0, meetings, findings }
  for (const pair of pairs) {
    if (!goesOn(figures)) break
    const { faults, meeting, sessions } = await play(atlas, pair, figures.pairs)
    meetings[meeting]++
    figures = { ...figures, pairs: figures.pairs + 1, sessions: figures.sessions + sessions }
    for (const fault of faults) {
      const signature = signatureOf(fault)
      if (!findings.has(signature)) findings.set(signature, `${pair.map(({ name }) => name).join(" and ")}: ${fault}`)
    }
  }
  return figures
}

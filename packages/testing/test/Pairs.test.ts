/**
 * Misbehaviours in force by twos: every two where the second changes what the first has made, and some of them, always the
 * same ones, before a client. `npm run fuzz -- --pairs` takes every two there.
 */
import { replyType } from "@effect-nbd/core/wire/OptionReply"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import { Misbehaviour } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import { Atlas, compose, named, type Pair, pairOf, play, playAll, somePairs } from "./fuzz/Pairs.ts"
import { styles, talk } from "./fuzz/Talk.ts"

/** What was at fault once. */
const found: ReadonlyArray<Pair> = [
  pairOf("dataWithoutOffset", "dataOutside"),
  pairOf("silentGreeting", "notFixedNewstyle")
]

const atlas = Atlas.make()

describe("two misbehaviours at once", () => {
  it("throw nothing, whatever the first has made of what is said", { timeout: 30_000 }, async () => {
    const { count, faults } = compose(await atlas, [
      ...named,
      // Of a type that is known, what comes lacks what others look for.
      ...Object.values(replyType).map((type) => Misbehaviour.unknownReplyType(type)),
      ...Object.values(chunkType).map((type) => Misbehaviour.unknownChunkType(type))
    ])
    expect(faults).toEqual([])
    expect(count).toBeGreaterThan(150_000)
  })

  it(
    "are no defect of server or client, let every request settle, and leave nothing",
    { timeout: 30_000 },
    async () => {
      const pairs = somePairs(20_261_121)
      const { findings, meetings, pairs: count } = await playAll(await atlas, [...found, ...pairs])
      expect(findings).toEqual(new Map())
      // One is left over where their number is odd.
      expect(count).toBe(found.length + Math.floor(Misbehaviour.all.length / 2))
      expect(meetings.Same + meetings.Both).toBeGreaterThan(30)
      // What was at fault once, of three: an error that is made a context, which has no id.
      const three = [
        Misbehaviour.unknownErrorReply(),
        Misbehaviour.unknownReplyType(replyType.META_CONTEXT),
        Misbehaviour.duplicateContextIds
      ].map((one) => Misbehaviour.at(one, { session: 1, option: "SET_META_CONTEXT" }))
      for (const style of styles) expect(await talk(style, "go", three)).toEqual([])
    }
  )

  it("are at fault where one takes for granted what the other has taken away, and where a session stays", async () => {
    const own = (change: Misbehaviour.Misbehaviour["change"]) =>
      Misbehaviour.make({ name: "own", rule: "none", sentence: "", reaction: "Guarded", moment: "Answer", change })
    const faultsOf = async (pair: Pair) => (await play(await atlas, pair)).faults.map((fault) => fault.split("\n")[0])

    const careless = own((speech) => {
      if (speech.frames.length === 0) throw new RangeError("outside")
      return speech
    })
    expect(compose(await atlas, [Misbehaviour.noReply, careless]).faults).toContain(
      "noReply and own: RangeError: outside"
    )
    expect(await faultsOf([Misbehaviour.noReply, careless])).toContain("defect: RangeError: outside")
    expect(await faultsOf([careless, Misbehaviour.noReply])).toEqual([])

    const deaf = own((speech) => ({ ...speech, afterwards: "Deaf" }))
    expect(await faultsOf([Misbehaviour.allHandshakeFlags, deaf])).toContain("it waits beyond every time limit")
  })
})

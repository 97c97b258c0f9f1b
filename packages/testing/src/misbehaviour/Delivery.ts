/**
 * Misbehaviour in when replies come, and in whether they do (H-090 to H-097).
 *
 * It applies to the answer to any request, unless it is given a place.
 *
 * @since 0.1.0
 */
import { errno } from "@effect-nbd/core/wire/Errno"
import { failing } from "./AnswerChanges.ts"
import { apart, type Cut, cutAfter, saying } from "./Changes.ts"
import { make, type Misbehaviour } from "./Model.ts"

/**
 * A reply comes behind the one to a later request.
 *
 * @since 0.1.0
 * @category steering
 */
export const repliesReversed: Misbehaviour = make({
  name: "repliesReversed",
  rule: "H-090",
  reaction: "Tolerated",
  sentence: "A reply comes behind the one to a later request.",
  moment: "Answer",
  place: { times: 1 },
  change: ({ frames }) => saying({ _tag: "Later", frames })
})

/**
 * The chunks of a reply stand on both sides of the next reply.
 *
 * @since 0.1.0
 * @category steering
 */
export const chunksInterleaved: Misbehaviour = make({
  name: "chunksInterleaved",
  rule: "H-090",
  reaction: "Tolerated",
  sentence: "The chunks of a reply stand on both sides of the next reply.",
  moment: "Answer",
  place: { times: 1 },
  change: ({ frames: [head, ...frames] }) => head && saying(head, { _tag: "Later", frames })
})

/**
 * Every byte of a reply comes by itself.
 *
 * @since 0.1.0
 * @category steering
 */
export const repliesByteByByte: Misbehaviour = make({
  name: "repliesByteByByte",
  rule: "H-091",
  reaction: "Tolerated",
  sentence: "Every byte of a reply comes by itself.",
  moment: "Answer",
  change: (speech) => apart(speech, 0)
})

/**
 * A write fails while its payload is still on its way.
 *
 * @since 0.1.0
 * @category steering
 */
export const errorBeforePayload: Misbehaviour = make({
  name: "errorBeforePayload",
  rule: "H-092",
  reaction: "Request",
  sentence: "A write fails while its payload is still on its way.",
  moment: "Payload",
  change: failing(errno.EIO)
})

/**
 * The server reads no requests any more.
 *
 * @since 0.1.0
 * @category steering
 */
export const deafServer: Misbehaviour = make({
  name: "deafServer",
  rule: "H-093",
  reaction: "Guarded",
  sentence: "The server reads no requests any more.",
  moment: "Answer",
  change: (speech) => ({ ...speech, afterwards: "Deaf" })
})

/**
 * A request is never answered.
 *
 * @since 0.1.0
 * @category steering
 */
export const noReply: Misbehaviour = make({
  name: "noReply",
  rule: "H-094",
  reaction: "Guarded",
  sentence: "A request is never answered.",
  moment: "Answer",
  change: () => saying()
})

/**
 * The connection ends inside a reply.
 *
 * @since 0.1.0
 * @category steering
 */
export const replyCut = (cut: Cut = { after: 11, by: "End" }): Misbehaviour =>
  make({
    name: "replyCut",
    rule: "H-095",
    reaction: "Connection",
    sentence: "The connection ends inside a reply.",
    moment: "Answer",
    change: (speech) => cutAfter(speech, cut)
  })

/**
 * The connection ends behind a reply, with requests unanswered perhaps.
 *
 * @since 0.1.0
 * @category steering
 */
export const endsBehindReply = (by: "End" | "Break" = "End"): Misbehaviour =>
  make({
    name: "endsBehindReply",
    rule: "H-096",
    reaction: "Connection",
    sentence: "The connection ends behind a reply, with requests unanswered perhaps.",
    moment: "Answer",
    change: (speech) => ({ ...speech, afterwards: by })
  })

/**
 * The server keeps its half of the connection open although the client has disconnected.
 *
 * @since 0.1.0
 * @category steering
 */
export const staysBehindDisconnect: Misbehaviour = make({
  name: "staysBehindDisconnect",
  rule: "H-097",
  reaction: "Guarded",
  sentence: "The server keeps its half of the connection open although the client has disconnected.",
  moment: "Farewell",
  change: () => ({ frames: [], afterwards: "Silence" })
})

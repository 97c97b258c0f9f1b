/**
 * Ways for the fake server to break the rules, by name: what it says, when, and what a client should make of it.
 *
 * Each is a value, or a function with defaults that makes one, and is given to a server by `misbehaviours` or
 * `misbehave`. They apply wherever they can, unless `at` gives them a place; several can be in force together. They
 * change what is said and nothing else: the server behind them keeps to the rules, and goes by what was really said.
 *
 * @since 0.1.0
 */
import * as ChunkHeaders from "./misbehaviour/ChunkHeaders.ts"
import * as Delivery from "./misbehaviour/Delivery.ts"
import * as Entering from "./misbehaviour/Entering.ts"
import * as ErrorChunks from "./misbehaviour/ErrorChunks.ts"
import * as ExportFacts from "./misbehaviour/ExportFacts.ts"
import * as Greetings from "./misbehaviour/Greetings.ts"
import type { Misbehaviour } from "./misbehaviour/Model.ts"
import * as OptionReplies from "./misbehaviour/OptionReplies.ts"
import * as ReadChunks from "./misbehaviour/ReadChunks.ts"
import * as ReplyFraming from "./misbehaviour/ReplyFraming.ts"
import * as Sessions from "./misbehaviour/Sessions.ts"
import * as StatusChunks from "./misbehaviour/StatusChunks.ts"
import * as StatusExtents from "./misbehaviour/StatusExtents.ts"
import * as TlsUpgrade from "./misbehaviour/TlsUpgrade.ts"
import * as ToldExports from "./misbehaviour/ToldExports.ts"

export {
  type AboutRequest,
  at,
  make,
  type Misbehaviour,
  type Moment,
  type MomentOf,
  type Place,
  type Reaction,
  type Speech
} from "./misbehaviour/Model.ts"

export {
  chunk,
  type ChunkFrame,
  encode,
  type Frame,
  optionReply,
  type OptionReplyFrame,
  raw,
  simpleReply,
  type SimpleReplyFrame,
  withPayload
} from "./misbehaviour/Frame.ts"

export { apart, behind, type Cut, cutAfter, each, first, isFrame, saying } from "./misbehaviour/Changes.ts"

/** In the greeting (H-001 to H-014). */
export * from "./misbehaviour/Greetings.ts"

/** In option replies, of whatever option (H-015 to H-024, H-050, H-051, H-060, H-061). */
export * from "./misbehaviour/OptionReplies.ts"

/** In the replies that list and describe exports (H-025 to H-033). */
export * from "./misbehaviour/ToldExports.ts"

/** In what is said of an export (H-034 to H-045). */
export * from "./misbehaviour/ExportFacts.ts"

/** On the way into an export, and with meta contexts (H-036, H-046 to H-059). */
export * from "./misbehaviour/Entering.ts"

/** In the change to TLS (H-062 to H-071). */
export * from "./misbehaviour/TlsUpgrade.ts"

/** In replies of whatever command (H-074 to H-089). */
export * from "./misbehaviour/ReplyFraming.ts"

/** In when replies come, and in whether they do (H-090 to H-097). */
export * from "./misbehaviour/Delivery.ts"

/** In the headers of chunks, in their order and in their kind (H-098, H-107 to H-109, H-115 to H-118). */
export * from "./misbehaviour/ChunkHeaders.ts"

/** In the content of a read (H-099 to H-106, H-110 to H-114, H-119). */
export * from "./misbehaviour/ReadChunks.ts"

/** In error chunks (H-120 to H-132). */
export * from "./misbehaviour/ErrorChunks.ts"

/** In the chunks of block status (H-133 to H-136, H-143, H-145 to H-149). */
export * from "./misbehaviour/StatusChunks.ts"

/** In the extents that it tells of (H-137 to H-142, H-144, H-148). */
export * from "./misbehaviour/StatusExtents.ts"

/** From one session to the next, and from what was told to what is done (H-150 to H-154). */
export * from "./misbehaviour/Sessions.ts"

const catalogue = {
  ...Greetings,
  ...OptionReplies,
  ...ToldExports,
  ...ExportFacts,
  ...Entering,
  ...TlsUpgrade,
  ...ReplyFraming,
  ...Delivery,
  ...ChunkHeaders,
  ...ReadChunks,
  ...ErrorChunks,
  ...StatusChunks,
  ...StatusExtents,
  ...Sessions
}

/**
 * All of them in the order of their rules, those that are functions with their defaults.
 *
 * @since 0.1.0
 * @category constants
 */
export const all: ReadonlyArray<Misbehaviour> = Object.values(catalogue)
  .map((value) => typeof value === "function" ? value() : value)
  .toSorted((left, right) => left.rule < right.rule ? -1 : left.rule > right.rule ? 1 : 0)

/**
 * The rules that no value here stands for, and why.
 *
 * @since 0.1.0
 * @category constants
 */
export const elsewhere: ReadonlyArray<{ readonly rule: string; readonly why: string }> = [
  { rule: "H-068", why: "takes real certificates, which transports are tested with" },
  { rule: "H-069", why: "takes real versions of TLS, which transports are tested with" },
  { rule: "H-072", why: "takes a TCP connection under TLS, which transports are tested with" },
  { rule: "H-073", why: "takes real TLS, which transports are tested with" },
  {
    rule: "H-155",
    why: "is up to how fast a client takes what comes: any server does it to a client that is slow enough"
  },
  { rule: "H-156", why: "is what a caller of the client does" }
]

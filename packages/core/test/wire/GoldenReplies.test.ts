/**
 * The transmission phase of every golden, replayed against the engine: it sends the very bytes that were sent to the
 * real server, and makes of the server's bytes what they say, whole, byte by byte and split at odd places.
 */
import { Export, type GrantedContext } from "@effect-nbd/core/Export"
import type { CommandName } from "@effect-nbd/core/Request"
import { Traffic } from "@effect-nbd/core/Traffic"
import type { ContextStatus } from "@effect-nbd/core/transmission/ContextStatus"
import { Transmission, type TransmissionEnd } from "@effect-nbd/core/transmission/Transmission"
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import { describe, expect, it } from "@effect/vitest"
import * as Option from "effect/Option"
import { type Golden, type GoldenMessage, goldens, splitAtTransmission } from "../fixtures/Golden.ts"
import { areSame } from "../fixtures/HandWritten.ts"
import { ManualConnection } from "../fixtures/ManualConnection.ts"
import { anyRequest, statusDetail, statuses } from "../transmission/ByHand.ts"

const nameOf = (code: number): CommandName | undefined => commandNames.get(code)
const commandNames: ReadonlyMap<number, CommandName> = new Map([
  [commandCode.READ, "read"],
  [commandCode.WRITE, "write"],
  [commandCode.FLUSH, "flush"],
  [commandCode.TRIM, "trim"],
  [commandCode.CACHE, "cache"],
  [commandCode.WRITE_ZEROES, "writeZeroes"],
  [commandCode.BLOCK_STATUS, "blockStatus"]
])

/** What the last selection of contexts came to. */
const grantedIn = (golden: Golden): ReadonlyArray<GrantedContext> => {
  let granted: Array<GrantedContext> = []
  for (const message of splitAtTransmission(golden).handshake) {
    if (message.kind === "option" && message.number("option") === 10) granted = []
    if (message.kind === "option reply" && message.number("option") === 10 && message.has("context")) {
      granted.push({ id: message.number("context id"), name: message.text("context") })
    }
  }
  return granted
}

const entered = (golden: Golden): Export => {
  const accepted = splitAtTransmission(golden).handshake.some((message) =>
    message.kind === "option reply" && message.number("option") === 8 && message.number("type") === 1
  )
  return new Export({
    name: "",
    size: 2n ** 63n,
    flags: TransmissionFlags(1),
    replyStyle: accepted ? "Structured" : "Simple",
    blockSize: Option.none(),
    canonicalName: Option.none(),
    description: Option.none(),
    contexts: grantedIn(golden)
  })
}

/** A context, and the length and flags of each extent. */
type Status = readonly [context: string | undefined, extents: ReadonlyArray<ReadonlyArray<bigint>>]

interface Exchange {
  readonly request: GoldenMessage
  readonly replies: ReadonlyArray<GoldenMessage>
}

const exchangesOf = (golden: Golden): ReadonlyArray<Exchange> => {
  const exchanges: Array<{ request: GoldenMessage; replies: Array<GoldenMessage> }> = []
  for (const message of splitAtTransmission(golden).transmission) {
    if (message.from === "client") exchanges.push({ request: message, replies: [] })
    else if (message.kind !== "end") exchanges.at(-1)?.replies.push(message)
  }
  return exchanges
}

/** What the replies say, worked out from the capture: an error value and text, or the data of a read. */
const meaningOf = (
  contexts: ReadonlyArray<GrantedContext>,
  { replies, request }: Exchange
): "ok" | Uint8Array | ReadonlyArray<Status> | { readonly value: number; readonly serverMessage: string } => {
  const failed = replies.find((reply) => reply.has("error") && reply.number("error") !== 0)
  if (failed !== undefined) return { value: failed.number("error"), serverMessage: failed.text("text") }
  if (request.number("command") === commandCode.BLOCK_STATUS) {
    return replies.map((reply) => {
      const flags = reply.numbers("extent flags")
      const name = contexts.find(({ id }) => id === reply.number("context id"))?.name
      return [name, reply.numbers("extent length").map((length, index) => [BigInt(length), BigInt(flags[index] ?? 0)])]
    })
  }
  if (request.number("command") !== commandCode.READ) return "ok"
  const data = new Uint8Array(request.number("length")).fill(0xee)
  for (const reply of replies) {
    const at = reply.has("offset") ? Number(reply.bigint("offset") - request.bigint("offset")) : 0
    if (reply.has("hole size")) data.fill(0, at, at + reply.number("hole size"))
    else data.set(reply.data("data"), at)
  }
  return data
}

const isStatus = (meaning: object): meaning is ReadonlyArray<Status> => Array.isArray(meaning)

const statusOf = (status: ReadonlyArray<ContextStatus>): ReadonlyArray<Status> =>
  status.map((each) => [each.context, Array.from(each, ({ flags, length }) => [length, flags])])

const replay = async (golden: Golden, split: number): Promise<void> => {
  const connection = new ManualConnection()
  const ends: Array<TransmissionEnd> = []
  const engine = new Transmission({
    connection,
    export: entered(golden),
    limits: { requests: 16, bytes: 1_048_576 },
    traffic: new Traffic(),
    events: { onEnd: (end) => ends.push(end), onServerShutdown: () => {} }
  })
  engine.start(new Uint8Array(0), undefined)
  for (const exchange of exchangesOf(golden)) {
    const { replies, request } = exchange
    const name = nameOf(request.number("command"))
    if (name === undefined) {
      engine.drain()
      expect(connection.takeWritten()).toStrictEqual(request.bytes)
      connection.end()
      continue
    }
    let outcome: unknown = "nothing yet"
    const pending = engine.submit({
      request: anyRequest,
      name,
      flags: request.number("command flags"),
      offset: request.bigint("offset"),
      length: request.number("length"),
      payload: request.has("payload") ? request.data("payload") : undefined,
      destination: undefined,
      detail: name === "blockStatus" ? statusDetail(...engine.export.contexts) : undefined
    }, {
      settle: (failure) => {
        const said = pending.status === undefined ? "ok" : statusOf(statuses(pending))
        outcome = failure ?? (name === "read" ? pending.destination : said)
      },
      isGone: () => false
    })
    await Promise.resolve()
    expect(connection.takeWritten()).toStrictEqual(request.bytes)
    for (const { bytes } of replies) {
      for (let at = 0; at < bytes.byteLength; at += split) connection.arrive(bytes.subarray(at, at + split))
    }
    const meaning = meaningOf(engine.export.contexts, exchange)
    if (meaning instanceof Uint8Array) expect(outcome instanceof Uint8Array && areSame(outcome, meaning)).toBe(true)
    else if (meaning === "ok" || isStatus(meaning)) expect(outcome).toStrictEqual(meaning)
    else expect(outcome).toMatchObject({ _tag: "NbdCommandError", ...meaning })
  }
  expect(ends).toStrictEqual([{ _tag: "Ended" }])
}

const replayable = goldens.filter((golden) => {
  const sent = exchangesOf(golden).map(({ request }) => request.number("command"))
  return sent.length > 0 && sent.every((code) => code === commandCode.DISC || nameOf(code) !== undefined)
})

describe("the transmission phase of each golden, replayed", () => {
  it("is there for most of them", () => {
    expect(replayable.length).toBeGreaterThanOrEqual(15)
  })

  for (const [title, split] of [["whole", 1_048_576], ["byte by byte", 1], ["in pieces of 7 bytes", 7]] as const) {
    it.each(replayable.map((golden) => [golden.name, golden] as const))(
      `${title}, in %s`,
      (_, golden) => replay(golden, split)
    )
  }
})

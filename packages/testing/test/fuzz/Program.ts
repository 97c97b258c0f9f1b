/** What the client of a transcript did, done again through a handle. */
import { Handle } from "@effect-nbd/core"
import type { HandleConfig } from "@effect-nbd/core/HandleConfig"
import type { Transport } from "@effect-nbd/core/Transport"
import { HandshakeFlags, TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { encodeNewstyleGreeting, encodeOldstyleGreeting } from "@effect-nbd/core/wire/Greeting"
import { optionCode } from "@effect-nbd/core/wire/NbdOption"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import { Transcript } from "@effect-nbd/testing"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"

/** A read that came back. */
export interface Read {
  readonly offset: bigint
  readonly bytes: Uint8Array
}

export interface Program {
  readonly config: HandleConfig
  /** Gives what became of each step in a word or two. `seen` is told of what was read, `judge` of every outcome. */
  readonly run: (
    concurrent: boolean,
    seen: (read: Read) => void,
    judge: (exit: Exit.Exit<unknown, unknown>) => void
  ) => Effect.Effect<ReadonlyArray<string>, never, Transport | Scope.Scope>
}

const field = (message: Transcript.Message, name: string): string | undefined =>
  message.fields.find((field) => field.name === name)?.value
const numberOf = (message: Transcript.Message, name: string): bigint =>
  BigInt(field(message, name)?.split(" ")[0] ?? "0")
const texts = (message: Transcript.Message, name: string): ReadonlyArray<string> =>
  message.fields.flatMap((field) => field.name === name ? [JSON.parse(field.value) as string] : [])

/** What the client said, told apart without what the server said: that may be anything. */
const messagesOf = (transcript: Transcript.Transcript): ReadonlyArray<Transcript.Message> => {
  const said = Transcript.bytesFrom("client", transcript)
  // Client flags have a zero first; options and requests do not.
  const greeting = said[0] === 0
    ? encodeNewstyleGreeting(HandshakeFlags(3))
    : encodeOldstyleGreeting({ exportSize: 0n, flags: TransmissionFlags(1) })
  const events = [
    { _tag: "Bytes", from: "server", bytes: greeting },
    { _tag: "Bytes", from: "client", bytes: said }
  ] as const
  return Transcript.annotate(Transcript.make(events)).client
}

type Step = (handle: Handle.Handle, seen: (read: Read) => void) => Effect.Effect<unknown, unknown>

const optionStep = (message: Transcript.Message, data: Uint8Array): Step => {
  const code = Number(numberOf(message, "option"))
  const name = texts(message, "name")[0] ?? ""
  const contexts = { exportName: name, queries: texts(message, "query"), contexts: texts(message, "query") }
  switch (code) {
    case optionCode.EXPORT_NAME:
    case optionCode.GO:
      return (handle) => handle.go(name)
    case optionCode.ABORT:
      return (handle) => handle.abort
    case optionCode.LIST:
      return (handle) => handle.list
    case optionCode.INFO:
      return (handle) => handle.info(name)
    case optionCode.STRUCTURED_REPLY:
      return (handle) => handle.structuredReplies
    case optionCode.EXTENDED_HEADERS:
      return (handle) => handle.extendedHeaders
    case optionCode.LIST_META_CONTEXT:
      return (handle) => handle.listMetaContexts(contexts)
    case optionCode.SET_META_CONTEXT:
      return (handle) => handle.setMetaContexts(contexts)
    case optionCode.STARTTLS:
      return () => Effect.void
    default:
      return (handle) => handle.option(code, data)
  }
}

const commandStep = (message: Transcript.Message): Step => {
  const code = Number(numberOf(message, "command"))
  const offset = numberOf(message, "offset")
  const length = Number(numberOf(message, "length"))
  switch (code) {
    case commandCode.READ:
      return (handle, seen) =>
        Effect.tap(handle.read(offset, length), (bytes) => Effect.sync(() => seen({ offset, bytes })))
    case commandCode.WRITE:
      return (handle) => handle.write(offset, new Uint8Array(Math.min(length, 65_536)))
    case commandCode.DISC:
      return (handle) => handle.shutdown
    case commandCode.FLUSH:
      return (handle) => handle.flush
    case commandCode.TRIM:
      return (handle) => handle.trim(offset, length)
    case commandCode.CACHE:
      return (handle) => handle.cache(offset, length)
    case commandCode.WRITE_ZEROES:
      return (handle) => handle.writeZeroes(offset, length)
    case commandCode.BLOCK_STATUS:
      return (handle) => handle.blockStatus(offset, length)
    default:
      return (handle) => handle.command({ code, offset, length })
  }
}

const inAWord = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "ok"
  const error = Option.getOrUndefined(Cause.failureOption(exit.cause))
  if (error === undefined) return Cause.isInterruptedOnly(exit.cause) ? "interrupted" : "defect"
  const told = error as {
    readonly _tag: string
    readonly phase?: string
    readonly rule?: string
    readonly reason?: unknown
  }
  return [told._tag, told.phase, told.rule].filter((part) => part !== undefined).join(" ")
}

/** `strictness` is off, so that what a server's answer makes impossible is asked all the same. */
export const programOf = (transcript: Transcript.Transcript): Program => {
  const messages = messagesOf(transcript)
  const said = Transcript.bytesFrom("client", transcript)
  const options = messages.filter(({ kind }) => kind === "option")
  const commands = messages.filter(({ kind }) => kind === "request" || kind === "extended request")
  const flags = messages.find(({ kind }) => kind === "client flags")
  const has = (code: number): boolean => options.some((option) => numberOf(option, "option") === BigInt(code))
  const config: HandleConfig = {
    optMode: true,
    requestStructuredReplies: false,
    requestExtendedHeaders: false,
    requestMetaContexts: false,
    forceExportName: has(optionCode.EXPORT_NAME),
    fullInfo: options.some((option) => option.fields.some(({ value }) => value === "1 NAME")),
    handshakeFlags: HandshakeFlags(flags === undefined ? 3 : Number(numberOf(flags, "client flags"))),
    tls: { mode: transcript.events.some(({ _tag }) => _tag === "TlsBegan") ? "Require" : "Disable" },
    strictness: { commands: false, flags: false, bounds: false, zeroSize: false, align: false, payload: false }
  }
  const asked = options.map((option) => {
    const data = option.fields.find(({ name }) => name === "data")
    return optionStep(option, data === undefined ? new Uint8Array(0) : said.slice(data.start, data.end))
  })
  const sent = commands.map(commandStep)
  return {
    config,
    run: (concurrent, seen, judge) =>
      Effect.gen(function*() {
        const handle = yield* Handle.make(config)
        const all: Array<string> = []
        const done = (exit: Exit.Exit<unknown, unknown>): string => {
          judge(exit)
          return inAWord(exit)
        }
        all.push(done(yield* Effect.exit(handle.connect)))
        for (const step of asked) all.push(done(yield* Effect.exit(step(handle, seen))))
        const exits = yield* Effect.forEach(sent, (step) => Effect.exit(step(handle, seen)), {
          concurrency: concurrent ? "unbounded" : 1
        })
        all.push(...exits.map(done))
        all.push(done(yield* Effect.exit(handle.shutdown)))
        return all
      })
  }
}

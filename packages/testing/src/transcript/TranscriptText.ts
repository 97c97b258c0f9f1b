/**
 * Transcripts as text: annotated hexadecimal, to be read and compared by people, and read back by this.
 *
 * ```
 * # nbdkit 1.32.5
 *
 * server: newstyle greeting
 *   4e 42 44 4d 41 47 49 43 | magic: NBDMAGIC
 *   49 48 41 56 45 4f 50 54 | magic: IHAVEOPT
 *   00 03                   | handshake flags: 0x0003 FIXED_NEWSTYLE NO_ZEROES
 *
 * client ends
 * ```
 *
 * Bytes are what counts: what stands behind a bar or a `#`, and behind the colon of a side, is for people, and may be
 * anything. `00*124` is 124 times the same byte, and blanks do not matter. Lines at the top that begin with `#` are the
 * transcript's remarks.
 *
 * @since 0.1.0
 */
import { concat } from "@effect-nbd/core/wire/Bytes"
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import { annotate, type Field, type Message } from "./Annotation.ts"
import { bytesFrom, make, type Side, type Transcript, type TranscriptEvent } from "./Model.ts"

/**
 * The text is no transcript.
 *
 * @since 0.1.0
 * @category errors
 */
export class TranscriptTextError extends Data.TaggedError("NbdTranscriptTextError")<{
  /** Counted from 1. */
  readonly line: number
  readonly reason: string
}> {
  override get message(): string {
    return `line ${this.line} of the transcript: ${this.reason}`
  }
}

/**
 * One line of bytes, and the words beside it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Line {
  readonly bytes: Uint8Array
  /** What stands behind the bar; empty where there is none, as in a line that goes on with the one above. */
  readonly note: string
}

/**
 * A stretch of the text: bytes with the words beside them, or another event.
 *
 * @since 0.1.0
 * @category models
 */
export type Block =
  | { readonly _tag: "Said"; readonly from: Side; readonly title: string; readonly lines: ReadonlyArray<Line> }
  | Exclude<TranscriptEvent, { readonly _tag: "Bytes" }>

/**
 * The text as it stands, words included.
 *
 * @since 0.1.0
 * @category models
 */
export interface Document {
  readonly remarks: ReadonlyArray<string>
  readonly blocks: ReadonlyArray<Block>
}

/** Bytes that a text may come to. A few characters can stand for any number of bytes. */
const maxBytes = 67_108_864

const markers: ReadonlyArray<readonly [text: string, event: Exclude<TranscriptEvent, { readonly _tag: "Bytes" }>]> = [
  ["client ends", { _tag: "Ended", from: "client", how: "Finished" }],
  ["client breaks", { _tag: "Ended", from: "client", how: "Broken" }],
  ["server ends", { _tag: "Ended", from: "server", how: "Finished" }],
  ["server breaks", { _tag: "Ended", from: "server", how: "Broken" }],
  ["TLS begins", { _tag: "TlsBegan" }],
  ["cut at the limit", { _tag: "Cut" }]
]

/**
 * The text of a transcript, at most 64 MiB of bytes.
 *
 * @since 0.1.0
 * @category decoding
 */
export const parse = (text: string): Either.Either<Transcript, TranscriptTextError> =>
  Either.map(parseDocument(text), ({ blocks, remarks }) =>
    make(
      blocks.flatMap((block): ReadonlyArray<TranscriptEvent> =>
        block._tag === "Said"
          ? block.lines.map(({ bytes }) => ({ _tag: "Bytes", from: block.from, bytes }))
          : [block]
      ),
      remarks
    ))

/**
 * The same with the words that stand beside the bytes.
 *
 * @since 0.1.0
 * @category decoding
 */
export const parseDocument = (text: string): Either.Either<Document, TranscriptTextError> => {
  const remarks: Array<string> = []
  const blocks: Array<Block> = []
  let lines: Array<Line> | undefined
  let left = maxBytes
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const fail = (reason: string) => Either.left(new TranscriptTextError({ line: index + 1, reason }))
    const content = line.replace(/#.*|\|.*/s, "").trim()
    if (content === "") {
      if (line.startsWith("#") && blocks.length === 0) remarks.push(line.replace(/^# ?/, ""))
      continue
    }
    const side = /^(client|server):/.exec(content)
    const marker = markers.find(([text]) => content === text)
    if (side !== null) {
      lines = []
      const from = side[1] === "client" ? "client" : "server"
      blocks.push({ _tag: "Said", from, title: content.slice(side[0].length).trim(), lines })
    } else if (marker !== undefined) {
      lines = undefined
      blocks.push(marker[1])
    } else if (lines === undefined) {
      return fail("neither a side nor an event, and no side before it")
    } else {
      const bytes = bytesIn(content, left)
      if (typeof bytes === "string") return fail(bytes)
      left -= bytes.byteLength
      lines.push({ bytes, note: /\|(.*)/s.exec(line)?.[1]?.trim() ?? "" })
    }
  }
  return Either.right({ remarks, blocks })
}

/** Or what is wrong with them. */
const bytesIn = (content: string, left: number): Uint8Array | string => {
  const parts: Array<Uint8Array> = []
  for (const token of content.split(/\s+/)) {
    const match = /^([0-9a-f]{2})(?:\*(\d{1,9}))?$/i.exec(token)
    if (match === null) return `not a byte: ${JSON.stringify(token.slice(0, 40))}`
    const count = Number(match[2] ?? "1")
    if (count > left) return `more than ${maxBytes} bytes`
    left -= count
    parts.push(new Uint8Array(count).fill(Number.parseInt(match[1] ?? "", 16)))
  }
  return concat(parts)
}

/**
 * The transcript as text, each of its bytes with the message and the field that it belongs to. Parsed again, it is the
 * same transcript.
 *
 * @since 0.1.0
 * @category printing
 */
export const print = (transcript: Transcript): string => {
  const { client, server } = annotate(transcript)
  const printers = {
    client: new Printer(client, bytesFrom("client", transcript)),
    server: new Printer(server, bytesFrom("server", transcript))
  }
  const blocks = transcript.events.map((event) =>
    event._tag === "Bytes" ? printers[event.from].next(event.from, event.bytes.byteLength) : markerOf(event)
  )
  const remarks = transcript.remarks.map((remark) => `# ${remark}`.trimEnd()).join("\n")
  return `${[...remarks === "" ? [] : [remarks], ...blocks].join("\n\n")}\n`
}

const markerOf = (wanted: Exclude<TranscriptEvent, { readonly _tag: "Bytes" }>): string =>
  markers.find(([, event]) =>
    event._tag === wanted._tag &&
    (event._tag !== "Ended" || wanted._tag !== "Ended" || (event.from === wanted.from && event.how === wanted.how))
  )?.[0] ?? ""

/** Prints what one side said, from one of its events to the next. */
class Printer {
  private readonly messages: ReadonlyArray<Message>
  private readonly bytes: Uint8Array
  private at = 0
  private message = 0

  constructor(messages: ReadonlyArray<Message>, bytes: Uint8Array) {
    this.messages = messages
    this.bytes = bytes
  }

  next(from: Side, count: number): string {
    const end = this.at + count
    const blocks: Array<string> = []
    for (let message = this.messages[this.message]; message !== undefined && message.start < end;) {
      const isContinued = message.start < this.at
      const lines = message.fields.flatMap((field) => this.lines(field, this.at, end))
      blocks.push([`${from}: ${message.kind}${isContinued ? ", continued" : ""}`, ...lines].join("\n"))
      if (message.end > end) break
      message = this.messages[++this.message]
    }
    this.at = end
    return blocks.join("\n\n")
  }

  private lines(field: Field, from: number, to: number): ReadonlyArray<string> {
    const [start, end] = [Math.max(from, field.start), Math.min(to, field.end)]
    if (start >= end) return []
    const note = field.value === "" ? field.name : `${field.name}: ${field.value}`
    return hexLines(this.bytes.subarray(start, end), start > field.start ? `${note}, continued` : note)
  }
}

const width = 16
const longestLiteral = 32

/** At most 16 bytes a line; runs of more than 32 equal bytes by themselves. */
const hexLines = (bytes: Uint8Array, note: string): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let pending = 0
  const flush = (end: number): void => {
    for (; pending < end; pending += width) {
      lines.push(Array.from(bytes.subarray(pending, Math.min(end, pending + width)), hexOf).join(" "))
    }
    pending = end
  }
  for (let at = 0; at < bytes.byteLength;) {
    let end = at + 1
    while (end < bytes.byteLength && bytes[end] === bytes[at]) end++
    if (end - at > longestLiteral) {
      flush(at)
      lines.push(`${hexOf(bytes[at] ?? 0)}*${end - at}`)
      pending = end
    }
    at = end
  }
  flush(bytes.byteLength)
  return lines.map((line, index) => index === 0 ? `  ${line.padEnd(23)} | ${note}` : `  ${line}`)
}

const hexOf = (byte: number): string => byte.toString(16).padStart(2, "0")

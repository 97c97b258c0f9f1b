/**
 * What every connection over Node streams has in common: the write side, how ends are told apart, and closing.
 * Where the bytes come from is left to `DuplexConnection` ('data' events) and `SocketConnection` (`onread`).
 *
 * @since 0.1.0
 * @internal
 */
import type { Connection, ConnectionEnd } from "@effect-nbd/core/Transport"
import { TransportLostError } from "@effect-nbd/core/TransportError"
import type { Readable, Writable } from "node:stream"
import type * as Delivery from "./Delivery.ts"
import * as StreamWriter from "./StreamWriter.ts"

/**
 * How long, in milliseconds of real time, the peer's half may go on after a write has failed. Its last words (a
 * refusal, an error reply) are often still on their way then.
 *
 * @since 0.1.0
 * @category constants
 */
export const lastWordsMillis = 250

/**
 * The system's name for an error, for example `ECONNRESET`; `EIO` where it has none.
 *
 * @since 0.1.0
 * @category errors
 */
export const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "EIO"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly readable: Readable
  /** The same object as `readable` for a socket, another one for a pair of pipes. */
  readonly writable: Writable
  /** The peer in words, for errors. */
  readonly peer: string
  /** From how many bytes on that wait to leave `write` asks for patience. Default, and least: the stream's own. */
  readonly highWaterMark?: number | undefined
  /** Called whenever our half is ended in order, after what was written. */
  readonly onEndWrites?: (() => void) | undefined
  /** Called once, when `close` of the connection is called first. */
  readonly onClose?: (() => void) | undefined
  /**
   * Called once with how the streams ended; what it gives to `report`, now or later, is what the receiver is
   * told. Default: the end as it is.
   */
  readonly explain?: ((end: ConnectionEnd, report: (end: ConnectionEnd) => void) => void) | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Attached {
  readonly connection: Connection
  /** Nothing can be sent any more: lets the peer finish for a short time, then ends the connection as broken. */
  readonly writesLost: (error: unknown) => void
  /** The receiver is told nothing any more: what still comes is read and thrown away, what was written leaves. */
  readonly abandon: () => void
  /** What is written to now. */
  readonly writable: () => Writable
  /**
   * Lets go of the streams, for other code to take over: the receiver is told nothing any more. Why they are no good to
   * anybody, if so: they have ended, or bytes were taken from them that the receiver has not been told of.
   */
  readonly surrender: () => "Ended" | "Undelivered" | undefined
}

/**
 * Makes a `Connection` of the streams. `deliver` gets what the stream still holds when it fails; `stopData` stops
 * the source of bytes. The streams keep a listener for 'error', so that no failure of theirs is ever unhandled.
 *
 * @since 0.1.0
 * @category constructors
 */
export const attach = (options: Options, delivery: Delivery.Delivery, stopData: () => void): Attached => {
  const { onClose, onEndWrites, peer, readable, writable } = options
  const writer = StreamWriter.make(writable, delivery.drained, options.highWaterMark)
  const explain = options.explain ?? ((end, report) => report(end))
  let ended = false
  let closed = false
  let lastWords: NodeJS.Timeout | undefined

  const end = (how: ConnectionEnd): void => {
    if (ended) return
    ended = true
    clearTimeout(lastWords)
    explain(how, delivery.end)
  }
  const broken = (code: string, cause?: unknown): void =>
    end({ _tag: "Broken", error: new TransportLostError({ peer, code, ...(cause === undefined ? {} : { cause }) }) })

  /** A stream that fails forgets what it has buffered, unless that is taken out by hand. */
  const takeBuffered = (): void => {
    if (ended || closed) return
    stopData()
    for (let chunk: unknown = readable.read(); chunk instanceof Uint8Array; chunk = readable.read()) {
      delivery.push(chunk)
    }
  }

  const writesLost = (error: unknown): void => {
    if (ended || closed || lastWords !== undefined) return
    lastWords = setTimeout(() => {
      lastWords = undefined
      // A receiver that holds bytes back has not yet had the chance to read what is there.
      if (delivery.isHeld()) writesLost(error)
      else broken(codeOf(error), error)
    }, lastWordsMillis)
    lastWords.unref()
  }

  const onEnd = (): void => end({ _tag: "Finished", program: undefined })
  const onReadError = (error: unknown): void => {
    takeBuffered()
    broken(codeOf(error), error)
  }
  const onReadClose = (): void => {
    takeBuffered()
    broken("ERR_STREAM_PREMATURE_CLOSE")
  }
  const onWriteClose = (): void => {
    if (!writable.writableFinished) writesLost(Object.assign(new Error("the write side was closed"), { code: "EPIPE" }))
  }

  readable.on("error", ignore)
  readable.on("end", onEnd)
  readable.on("error", onReadError)
  readable.on("close", onReadClose)
  if (!Object.is(writable, readable)) {
    writable.on("error", ignore)
    writable.on("error", writesLost)
    writable.on("close", onWriteClose)
  }

  const detach = (): void => {
    clearTimeout(lastWords)
    stopData()
    writer.detach()
    readable.off("end", onEnd)
    readable.off("error", onReadError)
    readable.off("close", onReadClose)
    writable.off("error", writesLost)
    writable.off("close", onWriteClose)
  }

  // Events that came before this call do not come again.
  if (readable.readableEnded) onEnd()
  else if (readable.errored !== null) onReadError(readable.errored)
  else if (readable.destroyed) onReadClose()
  else if (writable.destroyed) onWriteClose()

  return {
    connection: {
      peer,
      receive: (receiver) => delivery.during(() => delivery.receive(receiver)),
      resume: () => delivery.during(delivery.resume),
      write: (chunks) => delivery.during(() => writer.write(chunks)),
      endWrites: () => {
        if (writable.writable) delivery.during(() => writable.end())
        onEndWrites?.()
      },
      close: () => {
        if (closed) return
        closed = true
        delivery.close()
        detach()
        readable.destroy()
        writable.destroy()
        onClose?.()
      }
    },
    writesLost,
    abandon: () => {
      delivery.close()
      detach()
      readable.resume()
    },
    writable: () => writable,
    surrender: () => {
      const isOver = ended || closed || readable.destroyed || readable.readableEnded || writable.destroyed
      const isEmpty = delivery.isEmpty()
      delivery.close()
      detach()
      if (isOver) return "Ended"
      return isEmpty ? undefined : "Undelivered"
    }
  }
}

const ignore = (): void => {}

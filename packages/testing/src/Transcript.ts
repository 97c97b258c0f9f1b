/**
 * Conversations with a server or a client: recorded from any transport, printed as annotated hexadecimal, saved and
 * loaded as that text, and replayed as either side.
 *
 * It reads and writes no files: `print` gives the text to save, and `parse` takes it. Under TLS it is the plaintext
 * inside that is recorded. Whoever records a disk has its data in the transcript.
 *
 * @since 0.1.0
 */
import { type Connection, Transport } from "@effect-nbd/core/Transport"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Side, type Transcript } from "./transcript/Model.ts"
import { type Budget, Tape, taped } from "./transcript/Tape.ts"

export {
  /**
   * @since 0.1.0
   * @category decoding
   */
  annotate,
  /**
   * @since 0.1.0
   * @category models
   */
  type Annotated,
  /**
   * @since 0.1.0
   * @category models
   */
  type Field,
  /**
   * @since 0.1.0
   * @category models
   */
  type Message
} from "./transcript/Annotation.ts"
export {
  /**
   * @since 0.1.0
   * @category models
   */
  type Comparison,
  /**
   * @since 0.1.0
   * @category errors
   */
  TranscriptMismatchError
} from "./transcript/Comparison.ts"
export {
  /**
   * @since 0.1.0
   * @category getters
   */
  bytesFrom,
  /**
   * @since 0.1.0
   * @category constructors
   */
  make,
  /**
   * @since 0.1.0
   * @category models
   */
  type Side,
  /**
   * @since 0.1.0
   * @category models
   */
  type Transcript,
  /**
   * @since 0.1.0
   * @category models
   */
  type TranscriptEvent
} from "./transcript/Model.ts"
export {
  /**
   * @since 0.1.0
   * @category models
   */
  type ClientReplayOptions,
  /**
   * @since 0.1.0
   * @category constructors
   */
  replayClient,
  /**
   * @since 0.1.0
   * @category constructors
   */
  replayServer,
  /**
   * @since 0.1.0
   * @category models
   */
  type ServerReplay,
  /**
   * @since 0.1.0
   * @category models
   */
  type ServerReplayOptions
} from "./transcript/Replay.ts"
export {
  /**
   * @since 0.1.0
   * @category decoding
   */
  parse,
  /**
   * @since 0.1.0
   * @category printing
   */
  print,
  /**
   * @since 0.1.0
   * @category errors
   */
  TranscriptTextError
} from "./transcript/TranscriptText.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface RecordingOptions {
  /**
   * Bytes of memory that all connections together may take, their data and 128 bytes for each change of speaker; 16 MiB
   * by default. A transcript that did not fit says at its end that it was cut.
   */
  readonly limit?: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface RecordingService {
  /** What was said so far, one transcript for each connection in the order of opening. Connections go on. */
  readonly transcripts: Effect.Effect<ReadonlyArray<Transcript>>
}

/**
 * What the recording Transport has heard.
 *
 * @since 0.1.0
 * @category tags
 */
export class Recording extends Context.Tag("@effect-nbd/testing/Recording")<Recording, RecordingService>() {}

const defaultLimit = 16_777_216

/** Memory of a connection before it has said anything, about. */
const tapeSize = 1024

class Tapes implements RecordingService {
  private readonly budget: Budget
  private readonly tapes: Array<Tape> = []

  constructor(limit: number = defaultLimit) {
    this.budget = { left: limit }
  }

  /** Where no memory is left, the connection is not recorded at all. `left` is told that the side has left it. */
  over(connection: Connection, side: Side): { readonly connection: Connection; readonly left: () => void } {
    if (this.budget.left < tapeSize) return { connection, left: () => {} }
    this.budget.left -= tapeSize
    const tape = new Tape(this.budget)
    this.tapes.push(tape)
    return { connection: taped(connection, side, tape), left: () => tape.end(side, "Finished") }
  }

  get transcripts(): Effect.Effect<ReadonlyArray<Transcript>> {
    return Effect.sync(() => this.tapes.map(({ transcript }) => transcript))
  }
}

/**
 * A Transport to the same target, whose connections are recorded.
 *
 * @since 0.1.0
 * @category constructors
 */
export const record = (
  transport: Context.Tag.Service<Transport>,
  options?: RecordingOptions
): RecordingService & { readonly transport: Context.Tag.Service<Transport> } => {
  const tapes = new Tapes(options?.limit)
  const open = Effect.flatMap(transport.open, (opened) => {
    const { connection, left } = tapes.over(opened, "client")
    // Whoever closes the scope need not have closed the connection.
    return Effect.as(Effect.addFinalizer(() => Effect.sync(left)), connection)
  })
  return { transcripts: tapes.transcripts, transport: { ...transport, open } }
}

/**
 * The same for one connection, by default a client's.
 *
 * @since 0.1.0
 * @category constructors
 */
export const recordConnection = (
  connection: Connection,
  options?: RecordingOptions & { readonly side?: Side }
): RecordingService & { readonly connection: Connection } => {
  const tapes = new Tapes(options?.limit)
  return { transcripts: tapes.transcripts, connection: tapes.over(connection, options?.side ?? "client").connection }
}

/**
 * Records the connections of the Transport that it is provided with.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerRecording = (
  options?: RecordingOptions
): Layer.Layer<Transport | Recording, never, Transport> =>
  Layer.effectContext(Effect.map(Transport, (transport) => {
    const { transcripts, transport: recorded } = record(transport, options)
    return Context.make(Transport, recorded).pipe(Context.add(Recording, { transcripts }))
  }))

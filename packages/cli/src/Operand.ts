/**
 * What may stand for SOURCE and DESTINATION on the command line, opened.
 *
 * @since 0.1.0
 */
import type { HandleConfig } from "@effect-nbd/core/HandleConfig"
import * as MetaContext from "@effect-nbd/core/MetaContext"
import { Transport } from "@effect-nbd/core/Transport"
import type * as SocketActivationTransport from "@effect-nbd/node/SocketActivationTransport"
import * as Effect from "effect/Effect"
import * as Brackets from "./Brackets.ts"
import * as Connecting from "./Connecting.ts"
import type { Sink } from "./CopyEnds.ts"
import * as ExportConnections from "./ExportConnections.ts"
import { UsageError } from "./Failure.ts"
import * as FileEnd from "./FileEnd.ts"
import * as NbdEnd from "./NbdEnd.ts"
import * as Patience from "./Patience.ts"
import type { Recording } from "./Record.ts"
import * as StandardEnd from "./StandardEnd.ts"
import * as Target from "./Target.ts"
import type { Operand } from "./Word.ts"

/** Connections to an end that is a server. */
interface Several {
  readonly connections: number
  /** Enter exports by NBD_OPT_EXPORT_NAME. Default: `false`. */
  readonly forceExportName?: boolean
  readonly recording?: Recording
  /** Default: the usual. */
  readonly patience?: Patience.Patience
  /** Called when a server that was run for it has ended badly. */
  readonly onFailure?: SocketActivationTransport.Options["onFailure"]
}

/** As many connections as wanted, where the server lets them be used as one; see `ExportConnections`. */
const connect = (
  word: string,
  { connections: wanted, forceExportName = false, onFailure, patience = Patience.usual, recording = (as) => as }:
    Several,
  config: HandleConfig = {}
) =>
  Effect.gen(function*() {
    const name = Brackets.show(word)
    const { exportName, transport } = yield* Target.ofWord(word, patience.connect, { onFailure })
    const connection = Effect.provideService(
      Connecting.open(name, { exportName, forceExportName, ...config }, patience),
      Transport,
      recording(transport)
    )
    return yield* ExportConnections.open(connection, { name, wanted })
  })

/** Nobody who could fall silent. */
const noServer = { silence: Effect.never }

/**
 * Opens what is to be copied.
 *
 * @since 0.1.0
 * @category constructors
 */
export const openSource = (
  operand: Operand,
  options: Several & { readonly extents: boolean }
) => {
  switch (operand._tag) {
    case "Server":
      return Effect.gen(function*() {
        const connections = yield* connect(operand.word, options, {
          metaContexts: options.extents ? [{ name: MetaContext.baseAllocation, optional: true }] : []
        })
        return {
          source: NbdEnd.source(connections),
          file: undefined,
          silence: connections.silence(options.patience?.reply)
        }
      })
    case "File":
      return Effect.map(FileEnd.source(operand.path), (source) => ({ source, file: source, ...noServer }))
    case "Standard":
      return process.stdin.isTTY
        ? Effect.fail(new UsageError({ reason: "- cannot be a source here: standard input is a terminal" }))
        : Effect.map(StandardEnd.source, (source) => ({ source, file: undefined, ...noServer }))
    case "Null":
      return Effect.fail(new UsageError({ reason: "null: cannot be a source, it has no size" }))
  }
}

/**
 * Opens where it is to be copied to. `from` is the source, where that is a file.
 *
 * @since 0.1.0
 * @category constructors
 */
export const openSink = (
  operand: Operand,
  options: NbdEnd.SinkOptions & Several & FileEnd.SinkOptions & {
    readonly destinationIsZero: boolean
  }
) => {
  const local = <E, R>(sink: Effect.Effect<Sink, E, R>) => Effect.map(sink, (sink) => ({ sink, ...noServer }))
  switch (operand._tag) {
    case "Server":
      return Effect.flatMap(
        connect(operand.word, options),
        (connections) =>
          Effect.map(NbdEnd.sink(connections, options), (sink) => ({
            sink,
            silence: connections.silence(options.patience?.reply)
          }))
      )
    case "File":
      return local(FileEnd.sink(operand.path, options))
    case "Standard":
      return process.stdout.isTTY
        ? Effect.fail(new UsageError({ reason: "- cannot be a destination here: standard output is a terminal" }))
        : options.flush
        ? Effect.fail(new UsageError({ reason: "standard output cannot be flushed: leave out --flush" }))
        : options.destinationIsZero
        ? Effect.fail(new UsageError({ reason: "standard output has no zeroes: leave out --destination-is-zero" }))
        : local(StandardEnd.sink)
    case "Null":
      return Effect.succeed({ sink: nowhere, ...noServer })
  }
}

const nowhere: Sink = {
  name: "null:",
  size: undefined,
  geometry: { minimum: 1, preferred: 1, maximum: 0x4000_0000, canZero: false },
  forgets: true,
  write: () => Effect.void,
  writeZeroes: () => Effect.void,
  flush: Effect.void
}

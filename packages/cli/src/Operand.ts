/**
 * What may stand for SOURCE and DESTINATION on the command line, opened.
 *
 * @since 0.1.0
 */
import * as Handle from "@effect-nbd/core/Handle"
import type { HandleConfig } from "@effect-nbd/core/HandleConfig"
import * as MetaContext from "@effect-nbd/core/MetaContext"
import { Transport } from "@effect-nbd/core/Transport"
import * as Effect from "effect/Effect"
import type { BlockSize, Sink } from "./CopyEnds.ts"
import { UsageError } from "./Failure.ts"
import * as FileEnd from "./FileEnd.ts"
import * as NbdEnd from "./NbdEnd.ts"
import * as Target from "./Target.ts"

/**
 * @since 0.1.0
 * @category models
 */
export type Operand =
  | { readonly _tag: "Uri"; readonly uri: string }
  | { readonly _tag: "File"; readonly path: string }
  | { readonly _tag: "Null" }

/**
 * `null:`, anything with `://` in it, or else the path of a file.
 *
 * @since 0.1.0
 * @category decoding
 */
export const parse = (text: string): Operand =>
  text === "null:"
    ? { _tag: "Null" }
    : /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(text)
    ? { _tag: "Uri", uri: text }
    : { _tag: "File", path: text }

const timeout = "30 seconds"

/** As many connections as wanted, where the server lets them be used as one; otherwise one. */
const connect = (uri: string, wanted: number, config: HandleConfig = {}) =>
  Effect.gen(function*() {
    const { exportName, handshakeTimeout, transport } = yield* Target.ofUri(uri, timeout)
    const connection = Effect.provideService(
      Handle.connect({ exportName, handshakeTimeout, ...config }),
      Transport,
      transport
    )
    const first = yield* connection
    if (!first.export.canMultiConn) return [first] as const
    const others = yield* Effect.replicateEffect(connection, wanted - 1, { concurrency: "unbounded" })
    return [first, ...others] as const
  })

/**
 * Opens what is to be copied.
 *
 * @since 0.1.0
 * @category constructors
 */
export const openSource = (
  operand: Operand,
  options: { readonly connections: number; readonly extents: boolean }
) => {
  switch (operand._tag) {
    case "Uri":
      return Effect.gen(function*() {
        const connections = yield* connect(operand.uri, options.connections, {
          metaContexts: options.extents ? [{ name: MetaContext.baseAllocation, optional: true }] : []
        })
        return { source: yield* NbdEnd.source(connections, operand.uri), file: undefined }
      })
    case "File":
      return Effect.map(FileEnd.source(operand.path), (source) => ({ source, file: source }))
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
  options: NbdEnd.SinkOptions & { readonly connections: number; readonly from: FileEnd.FileSource | undefined }
) => {
  switch (operand._tag) {
    case "Uri":
      return Effect.flatMap(
        connect(operand.uri, options.connections),
        (connections) => NbdEnd.sink(connections, operand.uri, options)
      )
    case "File":
      return FileEnd.sink(operand.path, options)
    case "Null":
      return Effect.succeed(nowhere)
  }
}

const anything: BlockSize = { minimum: 1, preferred: 1, maximum: 0x4000_0000 }

const nowhere: Sink = {
  name: "null:",
  capacity: undefined,
  blockSize: anything,
  prepare: () => Effect.void,
  write: () => Effect.void,
  zero: undefined,
  finish: () => Effect.void,
  flush: Effect.void
}

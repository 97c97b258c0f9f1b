/**
 * What may stand for SOURCE and DESTINATION on the command line, opened.
 *
 * @since 0.1.0
 */
import * as Handle from "@effect-nbd/core/Handle"
import { Transport } from "@effect-nbd/core/Transport"
import * as NodeTransport from "@effect-nbd/node/NodeTransport"
import * as Effect from "effect/Effect"
import type { BlockSize, Sink } from "./Copy.ts"
import { UsageError } from "./Failure.ts"
import * as FileEnd from "./FileEnd.ts"
import * as NbdEnd from "./NbdEnd.ts"

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

const connect = (uri: string) =>
  Effect.gen(function*() {
    const { exportName, transport } = yield* NodeTransport.fromUri(uri)
    return yield* Effect.provideService(Handle.connect({ exportName }), Transport, transport)
  })

/**
 * Opens what is to be copied.
 *
 * @since 0.1.0
 * @category constructors
 */
export const openSource = (operand: Operand) => {
  switch (operand._tag) {
    case "Uri":
      return Effect.map(
        connect(operand.uri),
        (handle) => ({ source: NbdEnd.source(handle, operand.uri), file: undefined })
      )
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
  options: { readonly flush: boolean; readonly from: FileEnd.FileSource | undefined }
) => {
  switch (operand._tag) {
    case "Uri":
      return Effect.flatMap(connect(operand.uri), (handle) => NbdEnd.sink(handle, operand.uri, options))
    case "File":
      return FileEnd.sink(operand.path, options.from)
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
  flush: Effect.void
}

/**
 * `effect-nbd copy SOURCE DESTINATION`
 *
 * @since 0.1.0
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Copy from "../Copy.ts"
import * as Operand from "../Operand.ts"
import * as ProgressBar from "../ProgressBar.ts"
import * as Size from "../Size.ts"
import { invalid, positional } from "./values.ts"

const maximumRequests = 1024
const minimumRequestSize = 4096n
const maximumRequestSize = 33_554_432n

const requests = Options.integer("requests").pipe(
  Options.withDefault(Copy.defaultRequests),
  Options.mapEffect((count) =>
    count >= 1 && count <= maximumRequests
      ? Effect.succeed(count)
      : Effect.fail(invalid(`--requests ${count}: has to be from 1 to ${maximumRequests}`))
  ),
  Options.withDescription(`Requests in flight at once, 1 to ${maximumRequests}; ${Copy.defaultRequests} by default`)
)

const requestSize = Options.text("request-size").pipe(
  Options.withDefault("256K"),
  Options.mapEffect((text) => {
    const size = Size.parse(text)
    return size !== undefined && size >= minimumRequestSize && size <= maximumRequestSize
      ? Effect.succeed(Number(size))
      : Effect.fail(invalid(`--request-size ${text}: has to be from 4K to 32M`))
  }),
  Options.withDescription("Bytes a request, 4K to 32M, adjusted to the block sizes of both ends; 256K by default")
)

/**
 * Copies between exports and files.
 *
 * @since 0.1.0
 * @category commands
 */
export const copy = Command.make(
  "copy",
  {
    source: positional("SOURCE").pipe(Args.withDescription("An NBD URI, or the path of a file")),
    destination: positional("DESTINATION").pipe(
      Args.withDescription("An NBD URI, the path of a file, or null: to only read")
    ),
    requests,
    requestSize,
    flush: Options.boolean("flush").pipe(
      Options.withDescription("Make the copy durable before it counts as done; off by default")
    ),
    progress: Options.boolean("progress").pipe(
      Options.withDescription("Draw a progress bar on standard error, even if that is not a terminal")
    )
  },
  ({ destination, flush, progress, requests, requestSize, source: from }) =>
    Effect.scoped(Effect.gen(function*() {
      const { file, source } = yield* Operand.openSource(Operand.parse(from))
      const sink = yield* Operand.openSink(Operand.parse(destination), { flush, from: file })
      const options = { requests, requestSize, flush }
      if (!progress && !process.stderr.isTTY) return yield* Copy.copy(source, sink, options)
      yield* ProgressBar.withBar(
        canvas,
        source.size,
        (onCopied) => Copy.copy(source, sink, { ...options, onCopied })
      )
    }))
).pipe(Command.withDescription("Copy an export to a file, a file to an export, or an export to another"))

const canvas: ProgressBar.Canvas = {
  write: (text) => process.stderr.write(text),
  columns: () => process.stderr.columns || 80
}

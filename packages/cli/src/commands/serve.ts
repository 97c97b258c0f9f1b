/**
 * `effect-nbd serve`: a server in memory, to try clients on.
 *
 * @since 0.1.0
 */
import type { Connection } from "@effect-nbd/core/Transport"
import * as DuplexConnection from "@effect-nbd/node/DuplexConnection"
import * as FakeServer from "@effect-nbd/testing/FakeServer"
import * as Steering from "@effect-nbd/testing/Steering"
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { UsageError } from "../Failure.ts"
import * as Listener from "../Listener.ts"
import { print } from "../Output.ts"
import * as ServerTls from "../ServerTls.ts"
import { how, security, what, where } from "./serveOptions.ts"

/**
 * Serves exports in memory until it is told to end, or over standard input and output until its client leaves.
 *
 * @since 0.1.0
 * @category commands
 */
export const serve = Command.make(
  "serve",
  { where, what, how, security },
  ({ how, security, what, where }) =>
    Effect.scoped(Effect.gen(function*() {
      const place = yield* placeOf(where)
      const names = yield* different("export", what.exports.length === 0 ? [""] : what.exports)
      const bitmaps = yield* different("bitmap", what.bitmaps)
      const tls = yield* ServerTls.rulesOf(security)
      const server = yield* FakeServer.make({
        exports: names.map((name) => ({
          name,
          size: what.size,
          readOnly: what.readOnly,
          description: what.description,
          ...Option.match(what.blockSize, { onNone: () => ({}), onSome: (blockSize) => ({ blockSize }) }),
          allocationDepth: what.allocationDepth,
          dirtyBitmaps: bitmaps.map((name) => ({ name }))
        })),
        protocol: how.oldstyle ? "oldstyle" : "newstyle-fixed",
        structuredReplies: !how.noStructuredReplies,
        extendedHeaders: !how.noExtendedHeaders && !how.noStructuredReplies,
        metaContexts: !how.noMetaContexts,
        ...(tls === undefined ? {} : { tls }),
        handshakeTimeout: "30 seconds",
        // Nobody looks at its record.
        history: 1
      })
      if (Option.isSome(how.delay)) {
        const answer = Steering.delay(how.delay.value)
        yield* server.onRequest(() => answer)
      }
      yield* whereverServed(place, names, tls?.mode === "Require", server.serve)
    }))
).pipe(Command.withDescription("Serve exports in memory, to try clients on"))

/** Names that can be told apart, none longer than a string of the protocol may be with what stands before it. */
const different = (what: string, names: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>, UsageError> => {
  const again = names.find((name, at) => names.indexOf(name) !== at)
  if (again !== undefined) {
    return new UsageError({ reason: `there can be only one ${what} called ${JSON.stringify(again)}` })
  }
  const long = names.find((name) => Buffer.byteLength(name) > longestName)
  return long === undefined
    ? Effect.succeed(names)
    : new UsageError({
      reason: `a name may have ${longestName} bytes, and that of this ${what} has ${Buffer.byteLength(long)}`
    })
}

const longestName = 4000

type Place = Listener.Address | { readonly _tag: "Stdio" }

const placeOf = (
  { host, port, stdio, unix }: {
    readonly stdio: boolean
    readonly host: string
    readonly port: Option.Option<number>
    readonly unix: Option.Option<string>
  }
): Effect.Effect<Place, UsageError> => {
  const places: Array<Place> = stdio ? [{ _tag: "Stdio" }] : []
  if (Option.isSome(port)) places.push({ _tag: "Tcp", host, port: port.value })
  if (Option.isSome(unix)) places.push({ _tag: "Unix", path: unix.value })
  const [place, other] = places
  return place === undefined || other !== undefined
    ? Effect.fail(new UsageError({ reason: "serve needs exactly one of --stdio, --port and --unix (see --help)" }))
    : Effect.succeed(place)
}

const whereverServed = (
  place: Place,
  names: ReadonlyArray<string>,
  isEncrypted: boolean,
  session: (connection: Connection) => Effect.Effect<void>
) =>
  Effect.gen(function*() {
    // To be told to end is how a server ends well.
    process.exitCode = 0
    if (place._tag === "Stdio") {
      const connection = DuplexConnection.fromStreams({
        readable: process.stdin,
        writable: process.stdout,
        peer: "standard input and output"
      })
      return yield* Effect.ensuring(session(connection), Effect.sync(() => connection.close()))
    }
    const address = yield* Listener.listen(place, session)
    const uris = yield* Effect.forEach(names, (name) => Listener.uriOf(address, name, isEncrypted))
    yield* print(`${uris.join("\n")}\n`)
    yield* Effect.never
  })

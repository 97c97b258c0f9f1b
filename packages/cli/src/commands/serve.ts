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
import * as Options from "@effect/cli/Options"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { UsageError } from "../Failure.ts"
import * as Listener from "../Listener.ts"
import { print } from "../Output.ts"
import * as Size from "../Size.ts"
import { invalid } from "./values.ts"

const size = Options.text("size").pipe(
  Options.withDefault("64M"),
  Options.mapEffect((text) => {
    const size = Size.parse(text)
    return size === undefined ? Effect.fail(invalid(`--size ${text}: not a size, such as 64M`)) : Effect.succeed(size)
  }),
  Options.withDescription("Bytes of each export, such as 1G; 64M by default. Memory is taken for what is written")
)

const delay = Options.text("delay").pipe(
  Options.mapEffect((text) => {
    const [, count, unit] = /^([0-9]{1,9})(ms|s)$/.exec(text) ?? []
    return count === undefined
      ? Effect.fail(invalid(`--delay ${text}: not a time, such as 20ms or 1s`))
      : Effect.succeed(Duration.millis(Number(count) * (unit === "s" ? 1000 : 1)))
  }),
  Options.optional,
  Options.withDescription("Answer each request after this time, such as 20ms or 1s")
)

const port = Options.integer("port").pipe(
  Options.mapEffect((port) =>
    port >= 0 && port <= 65_535
      ? Effect.succeed(port)
      : Effect.fail(invalid(`--port ${port}: has to be from 0 to 65535`))
  ),
  Options.optional,
  Options.withDescription("Listen on this TCP port; 0 leaves the choice to the system")
)

/**
 * Serves exports in memory until it is told to end, or over standard input and output until its client leaves.
 *
 * @since 0.1.0
 * @category commands
 */
export const serve = Command.make(
  "serve",
  {
    stdio: Options.boolean("stdio").pipe(
      Options.withDescription("Serve one client over standard input and output, as nbdkit -s does")
    ),
    port,
    host: Options.text("host").pipe(
      Options.withDefault("127.0.0.1"),
      Options.withDescription("Address to listen on with --port; 127.0.0.1 by default")
    ),
    unix: Options.text("unix").pipe(
      Options.optional,
      Options.withDescription("Listen on a Unix socket at this path")
    ),
    size,
    exports: Options.text("export").pipe(
      Options.repeated,
      Options.withDescription("Name of an export, may be given several times; the empty name by default")
    ),
    readOnly: Options.boolean("read-only").pipe(Options.withDescription("Refuse writes")),
    oldstyle: Options.boolean("oldstyle").pipe(
      Options.withDescription("Speak the oldstyle handshake, which has one export and no names")
    ),
    noStructuredReplies: Options.boolean("no-structured-replies").pipe(
      Options.withDescription("Refuse structured replies")
    ),
    delay
  },
  (options) =>
    Effect.scoped(Effect.gen(function*() {
      const where = yield* placeOf(options)
      const names = options.exports.length === 0 ? [""] : options.exports
      const again = names.find((name, at) => names.indexOf(name) !== at)
      if (again !== undefined) {
        return yield* new UsageError({ reason: `there can be only one export called ${JSON.stringify(again)}` })
      }
      const server = yield* FakeServer.make({
        exports: names.map((name) => ({ name, size: options.size, readOnly: options.readOnly })),
        protocol: options.oldstyle ? "oldstyle" : "newstyle-fixed",
        structuredReplies: !options.noStructuredReplies,
        // Nobody looks at its record.
        history: 1
      })
      if (Option.isSome(options.delay)) {
        const answer = Steering.delay(options.delay.value)
        yield* server.onRequest(() => answer)
      }
      yield* whereverServed(where, names, server.serve)
    }))
).pipe(Command.withDescription("Serve exports in memory, to try clients on"))

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
    const uris = yield* Effect.forEach(names, (name) => Listener.uriOf(address, name))
    yield* print(`${uris.join("\n")}\n`)
    yield* Effect.never
  })

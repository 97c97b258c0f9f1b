/**
 * `effect-nbd serve`: exports in memory or of files, over a socket or standard input and output.
 *
 * @since 0.1.0
 */
import type { Connection } from "@effect-nbd/core/Transport"
import * as DuplexConnection from "@effect-nbd/node/DuplexConnection"
import type { Decider } from "@effect-nbd/server/Decider"
import * as NbdServer from "@effect-nbd/server/NbdServer"
import * as Command from "@effect/cli/Command"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ExportSpec from "../ExportSpec.ts"
import { UsageError } from "../Failure.ts"
import * as FileDisk from "../FileDisk.ts"
import * as Listener from "../Listener.ts"
import { print } from "../Output.ts"
import * as Record from "../Record.ts"
import * as ServerTls from "../ServerTls.ts"
import { how, security, what, where } from "./serveOptions.ts"

/**
 * Serves exports in memory or of files until it is told to end, or over standard input and output until its client leaves.
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
      const specs = what.exports.length === 0 ? [ExportSpec.unnamed] : what.exports
      const names = yield* different("export", specs.map(({ name }) => name))
      for (const { bitmaps, description } of specs) {
        const all = yield* different("bitmap", [...what.bitmaps, ...bitmaps])
        if (all.includes("")) {
          return yield* new UsageError({ reason: "a bitmap needs a name, and one of them is empty" })
        }
        const long = Buffer.byteLength(description ?? what.description)
        if (long > longestText) {
          return yield* new UsageError({
            reason: `a description may have ${longestText} bytes, and this one has ${long}`
          })
        }
      }
      const tls = yield* ServerTls.rulesOf(security)
      const defaults = { ...what, blockSize: Option.getOrUndefined(what.blockSize) }
      const exports = yield* Effect.forEach(specs, (spec) =>
        Effect.gen(function*() {
          if (spec.file === undefined) return ExportSpec.configOf(spec, defaults)
          const file = yield* FileDisk.make(spec.file, {
            readOnly: spec.readOnly ?? what.readOnly,
            maximum: (spec.blockSize ?? defaults.blockSize)?.maximum
          })
          return ExportSpec.configOf(spec, defaults, file)
        }))
      const server = yield* NbdServer.make({
        exports,
        protocol: how.oldstyle ? "oldstyle" : "newstyle-fixed",
        structuredReplies: !how.noStructuredReplies,
        extendedHeaders: !how.noExtendedHeaders && !how.noStructuredReplies,
        metaContexts: !how.noMetaContexts,
        ...(tls === undefined ? {} : { tls }),
        handshakeTimeout: "30 seconds",
        maxSessions: where.maxClients,
        ...(Option.isSome(how.delay) ? { decider: delaying(how.delay.value) } : {})
      })
      const session = yield* Record.sessions(how.record, server.serve)
      yield* whereverServed(place, { names, isEncrypted: tls?.mode === "Require" }, session)
    }))
).pipe(Command.withDescription("Serve exports in memory or of files, to try clients on"))

/** Every request is answered after that time. */
const delaying = (duration: Duration.Duration): Decider => {
  const decision = Effect.succeed({ _tag: "Delay", duration } as const)
  return { decide: () => decision, release: () => {}, forget: () => {} }
}

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

/** The longest string that the protocol allows, in bytes. */
const longestText = 4096

type Place = Listener.Address | { readonly _tag: "Stdio" } | { readonly _tag: "Activated" }

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
  if (Listener.isActivated(process.env)) places.push({ _tag: "Activated" })
  const [place, other] = places
  if (place === undefined || other !== undefined) {
    return new UsageError({ reason: "serve needs exactly one of --stdio, --port and --unix (see --help)" })
  }
  return place._tag === "Tcp" || place._tag === "Unix" ? Listener.checked(place) : Effect.succeed(place)
}

const whereverServed = (
  place: Place,
  { isEncrypted, names }: {
    readonly names: ReadonlyArray<string>
    readonly isEncrypted: boolean
  },
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
    if (place._tag === "Activated") {
      // Whoever has opened the socket knows where that is.
      yield* Listener.listenActivated(session)
      return yield* Effect.never
    }
    const address = yield* Listener.listen(place, session)
    const uris = yield* Effect.forEach(names, (name) => Listener.uriOf(address, name, isEncrypted))
    yield* print(`${uris.join("\n")}\n`)
    yield* Effect.never
  })

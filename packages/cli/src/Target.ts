/**
 * What `info` is asked about.
 *
 * @since 0.1.0
 */
import * as NbdUri from "@effect-nbd/core/NbdUri"
import type { Transport } from "@effect-nbd/core/Transport"
import type * as UriPolicy from "@effect-nbd/core/UriPolicy"
import * as NodeTransport from "@effect-nbd/node/NodeTransport"
import * as SocketActivationTransport from "@effect-nbd/node/SocketActivationTransport"
import * as Command from "@effect/platform/Command"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Brackets from "./Brackets.ts"
import * as Word from "./Word.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Target {
  readonly transport: Transport["Type"]
  readonly exportName: string
  /** What it was named by; `undefined` where no other program could use that. */
  readonly uri: NbdUri.NbdUri | undefined
  /** Enter exports by NBD_OPT_EXPORT_NAME alone; `false` where it is not said. */
  readonly forceExportName?: boolean
  /** For the handshake, and for each option. `undefined`: the usual times, with a shorter one for the first byte. */
  readonly handshakeTimeout: Duration.DurationInput | undefined
}

/** Whoever types a URI may read the files and run the programs that it names. */
const policy: Partial<UriPolicy.UriPolicy> = {
  transports: ["Tcp", "Unix", "Vsock", "Ssh"],
  localFiles: true,
  unverifiedPeer: true
}

/**
 * The target of a URI. Nothing is opened.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofUri = (
  uri: string,
  timeout: Duration.DurationInput | undefined
): Effect.Effect<Target, NodeTransport.UriFailure> =>
  Effect.gen(function*() {
    const { exportName, transport } = yield* NodeTransport.fromUri(uri, { connectTimeout: timeout, policy })
    const parsed = yield* NbdUri.parse(uri)
    return { transport: withoutName(parsed, transport), exportName, uri: parsed, handshakeTimeout: timeout }
  })

/** A Unix socket has no name that a certificate could be for: then who issued it is all that is checked, as by libnbd. */
const withoutName = (uri: NbdUri.NbdUri, transport: Transport["Type"]): Transport["Type"] => {
  const { tls } = transport
  return uri.transport._tag === "Unix" && tls?.hostname === undefined && tls?.verification === "ChainAndName"
    ? { ...transport, tls: { ...tls, verification: "ChainOnly" } }
    : transport
}

/**
 * The target of a word on the command line: a URI, or a bracket with a program in it, which is run as the server while
 * anybody is connected, as the options say.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofWord = (
  word: string,
  timeout: Duration.DurationInput | undefined,
  options?: SocketActivationTransport.Options
): Effect.Effect<Target, NodeTransport.UriFailure> => {
  const program = Brackets.parse(word)
  if (program === undefined) return Effect.flatMap(Word.server(word), (uri) => ofUri(uri, timeout))
  const transport = SocketActivationTransport.make(Command.make(...program), options)
  return Effect.succeed({ transport, exportName: "", uri: undefined, handshakeTimeout: timeout })
}

/**
 * The URI of an export there; `undefined` where there is none that another program could use, or a name that no URI can
 * hold.
 *
 * @since 0.1.0
 * @category getters
 */
export const uriOf = ({ uri }: Target, exportName: string): Effect.Effect<string | undefined> =>
  uri === undefined
    ? Effect.succeed(undefined)
    : Effect.orElseSucceed(NbdUri.format({ ...uri, exportName }), () => undefined)

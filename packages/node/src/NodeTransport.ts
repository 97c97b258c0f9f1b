/**
 * The transport that an NBD URI names.
 *
 * @since 0.1.0
 */
import * as NbdUri from "@effect-nbd/core/NbdUri"
import type { Psk, X509 } from "@effect-nbd/core/Tls"
import type { TlsCredentialsError } from "@effect-nbd/core/TlsError"
import { Transport } from "@effect-nbd/core/Transport"
import * as UriPolicy from "@effect-nbd/core/UriPolicy"
import type * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SshTransport from "./SshTransport.ts"
import * as TcpTransport from "./TcpTransport.ts"
import * as UnixTransport from "./UnixTransport.ts"
import * as UriTls from "./UriTls.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** For a TCP target and a Unix socket. Default: 30 seconds for the one, 5 seconds for the other. */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /** For a TCP target, as `TcpTransport` has it. Default: 60 seconds. */
  readonly keepAlive?: Duration.DurationInput | undefined
  /** What the URI may ask for. Default: `UriPolicy.defaultPolicy`, and so it is for each field that is left out. */
  readonly policy?: Partial<UriPolicy.UriPolicy> | undefined
  /**
   * For a URI that asks for TLS and names no files of credentials. Default: those in libnbd's default directory, as
   * `TlsCredentials.fromDefaultDirectory` has it.
   */
  readonly credentials?: X509 | Psk | undefined
}

/**
 * The two halves of a URI: where the server is, with the TLS that it is to be reached by, and which export is wanted.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target {
  readonly transport: Transport["Type"]
  readonly exportName: string
}

/**
 * Every way in which a URI is refused before anything is opened.
 *
 * @since 0.1.0
 * @category errors
 */
export type UriFailure =
  | NbdUri.UriError
  | NbdUri.UriUnsupportedError
  | UriPolicy.UriNotPermittedError
  | SshTransport.SshArgumentError
  | TlsCredentialsError

/**
 * Reads a URI, for example `nbd://server/disk` or `nbd+unix:///disk?socket=/run/nbd.sock`, and with one that asks for
 * TLS the credentials. `nbds` requires TLS; `nbd` with parameters for it, other than the user, takes it where the server
 * agrees. No connection is opened.
 *
 * Fails with `UriNotPermittedError` for what the policy does not permit, and with `UriUnsupportedError` for vsock, which
 * Node.js has no sockets for.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromUri = (uri: string, options: Options = {}): Effect.Effect<Target, UriFailure> =>
  Effect.gen(function*() {
    const parsed = yield* UriPolicy.check(yield* NbdUri.parse(uri), options.policy)
    const { exportName } = parsed
    const tls = yield* UriTls.settingsOf(parsed, options.credentials)
    const transport = yield* transportOf(uri, parsed, options)
    return { transport: { ...transport, exportName, tls, uri: parsed }, exportName }
  })

/**
 * The transport of a URI as a layer. A handle whose config names no export enters the one that the URI names.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerUri = (uri: string, options?: Options): Layer.Layer<Transport, UriFailure> =>
  Layer.effect(Transport, Effect.map(fromUri(uri, options), ({ transport }) => transport))

/**
 * As `layerUri`, with a URI that comes from configuration, for example `Config.string("NBD_URI")`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerUriConfig = (
  uri: Config.Config<string>,
  options?: Options
): Layer.Layer<Transport, UriFailure | ConfigError.ConfigError> =>
  Layer.unwrapEffect(Effect.map(uri, (uri) => layerUri(uri, options)))

const transportOf = (
  uri: string,
  parsed: NbdUri.NbdUri,
  options: Options
): Effect.Effect<Transport["Type"], NbdUri.UriUnsupportedError | SshTransport.SshArgumentError> => {
  const { connectTimeout, keepAlive } = options
  const { transport } = parsed
  switch (transport._tag) {
    case "Tcp":
      return Effect.succeed(TcpTransport.make({ ...transport, connectTimeout, keepAlive }))
    case "Unix":
      return Effect.succeed(UnixTransport.make({ ...transport, connectTimeout }))
    case "Vsock":
      return unsupported(uri, parsed, "Node.js has no vsock sockets")
    case "Ssh":
      return SshTransport.make(transport)
  }
}

const unsupported = (uri: string, parsed: NbdUri.NbdUri, why: string) =>
  Effect.fail(new NbdUri.UriUnsupportedError({ uri: NbdUri.redact(uri), scheme: NbdUri.schemeOf(parsed), why }))

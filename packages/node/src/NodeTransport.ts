/**
 * The transport that an NBD URI names.
 *
 * @since 0.1.0
 */
import * as NbdUri from "@effect-nbd/core/NbdUri"
import { Transport } from "@effect-nbd/core/Transport"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TcpTransport from "./TcpTransport.ts"
import * as UnixTransport from "./UnixTransport.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** For a TCP target. Default: 30 seconds. */
  readonly connectTimeout?: Duration.DurationInput | undefined
}

/**
 * The two halves of a URI: where the server is, and which export is wanted of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target {
  readonly transport: Transport["Type"]
  readonly exportName: string
}

/**
 * Reads a URI, for example `nbd://server/disk` or `nbd+unix:///disk?socket=/run/nbd.sock`. Nothing is opened.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromUri = (
  uri: string,
  options?: Options
): Effect.Effect<Target, NbdUri.UriError | NbdUri.UriUnsupportedError> =>
  Effect.flatMap(NbdUri.parse(uri), (parsed) =>
    parsed.tls
      ? Effect.fail(
        new NbdUri.UriUnsupportedError({ uri, scheme: NbdUri.schemeOf(parsed), why: "TLS is not supported yet" })
      )
      : Effect.succeed({
        transport: { ...make(parsed.transport, options), exportName: parsed.exportName },
        exportName: parsed.exportName
      }))

/**
 * The transport of a URI as a layer. A handle whose config names no export enters the one that the URI names.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerUri = (
  uri: string,
  options?: Options
): Layer.Layer<Transport, NbdUri.UriError | NbdUri.UriUnsupportedError> =>
  Layer.effect(Transport, Effect.map(fromUri(uri, options), ({ transport }) => transport))

const make = (transport: NbdUri.UriTransport, options: Options | undefined): Transport["Type"] => {
  switch (transport._tag) {
    case "Tcp":
      return TcpTransport.make({ ...transport, connectTimeout: options?.connectTimeout })
    case "Unix":
      return UnixTransport.make(transport)
  }
}

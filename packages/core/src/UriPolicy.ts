/**
 * What a URI from somewhere else may ask for. It has to be asked before anything is done with the URI: who writes
 * it would otherwise choose files to be read and programs to be run.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { TaggedError } from "./errors/TaggedError.ts"
import { type NbdUri, schemeOf, type UriTransport } from "./NbdUri.ts"
import type { TlsMode } from "./Tls.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface UriPolicy {
  /** Default: `Tcp`, `Unix` and `Vsock`. `Ssh` runs a program (libnbd: all four). */
  readonly transports: ReadonlyArray<UriTransport["_tag"]>
  /** Whether `nbds` may be asked for, or has to be (libnbd: `set_uri_allow_tls`). Default: `Allow`, which is both. */
  readonly tls: TlsMode
  /** Whether `tls-certificates` and `tls-psk-file` may name files to be read. Default: `false`. */
  readonly localFiles: boolean
  /** Whether `tls-verify-peer=false` may have a server trusted unseen. Default: `false` (libnbd: it always may). */
  readonly unverifiedPeer: boolean
}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaultPolicy: UriPolicy = {
  transports: ["Tcp", "Unix", "Vsock"],
  tls: "Allow",
  localFiles: false,
  unverifiedPeer: false
}

/**
 * The URI is well-formed, and asks for something that the policy does not permit. `part` is what it should not have: its
 * scheme, or the name of a parameter.
 *
 * @since 0.1.0
 * @category errors
 */
export class UriNotPermittedError extends TaggedError("NbdUriNotPermittedError")<{
  readonly scheme: string
  readonly part: string
  readonly reason: string
}> {
  override get message(): string {
    return `this ${this.scheme} URI is not permitted: ${this.part}: ${this.reason}`
  }
}

/**
 * Gives the URI back if the policy permits all of it. What the policy does not say is as in `defaultPolicy`.
 *
 * @since 0.1.0
 * @category guards
 */
export const check = (uri: NbdUri, policy: Partial<UriPolicy> = {}): Effect.Effect<NbdUri, UriNotPermittedError> =>
  Effect.suspend(() => {
    const refusal = refusalOf(uri, { ...defaultPolicy, ...policy })
    return refusal === undefined ? Effect.succeed(uri) : Effect.fail(refusal)
  })

const refusalOf = (uri: NbdUri, policy: UriPolicy): UriNotPermittedError | undefined => {
  const { tls, transport } = uri
  const scheme = schemeOf(uri)
  const not = (part: string, reason: string) => new UriNotPermittedError({ scheme, part, reason })
  if (!policy.transports.includes(transport._tag)) return not(scheme, "the transport is not allowed")
  if (tls.required && policy.tls === "Disable") return not(scheme, "TLS is not allowed")
  if (!tls.required && policy.tls === "Require") return not(scheme, "TLS has to be required")
  if (!policy.localFiles) {
    const { credentials } = tls
    if (credentials?._tag === "X509" && credentials.directory !== undefined) {
      return not("tls-certificates", "local files are not allowed")
    }
    if (credentials?._tag === "Psk" && credentials.file !== undefined) {
      return not("tls-psk-file", "local files are not allowed")
    }
  }
  if (!tls.verifyPeer && !policy.unverifiedPeer) return not("tls-verify-peer", "the server has to be verified")
  return undefined
}

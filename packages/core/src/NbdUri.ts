/**
 * NBD URIs (specification, "NBD URI"; C-232 … C-242): where a server is and which export is wanted of it.
 *
 * They are data here: no name is looked up and no file is read. What of them is permitted, `UriPolicy` says.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { UriError, UriUnsupportedError, UriUnwritableError } from "./uri/UriError.ts"
import { format as formatUri } from "./uri/UriFormat.ts"
import { type NbdUri, schemes } from "./uri/UriModel.ts"
import { parse as parseText } from "./uri/UriParse.ts"

export { NoUriError, redact, UriError, UriUnsupportedError, UriUnwritableError } from "./uri/UriError.ts"
export {
  defaultCid,
  defaultHost,
  defaultPort,
  maxUriLength,
  type NbdUri,
  noTls,
  of,
  schemeOf,
  schemes,
  type SshTarget,
  type UriCredentials,
  type UriTls,
  type UriTransport
} from "./uri/UriModel.ts"

/**
 * Reads a URI:
 *
 * - `nbd://[user@][host][:port][/export]`,
 * - `nbd+unix://[user@][/export]?socket=PATH`,
 * - `nbd+vsock://[user@][cid][:port][/export]`,
 * - `nbd+ssh://[user@]host[:port][/export]`, where user and port are SSH's; the server is at port 10809 of that host's
 *   own loopback,
 *
 * and `nbds` in place of `nbd` where TLS is required. Schemes and parameter names are case-insensitive.
 *
 * | parameter          | of              | meaning                                                                |
 * | ------------------ | --------------- | ---------------------------------------------------------------------- |
 * | `socket`           | unix, ssh       | path of the server's socket; for ssh, on the other machine             |
 * | `nbd-port`         | tcp, vsock, ssh | the server's port, in place of one after the host                      |
 * | `compress`         | ssh             | whether ssh compresses                                                 |
 * | `tls-type`         | all             | `x509` or `psk`; `anon` is not supported                               |
 * | `tls-certificates` | all             | directory of certificates                                              |
 * | `tls-psk-file`     | all             | file of pre-shared keys                                                |
 * | `tls-username`     | all             | whose key; in place of the user before the host, which for ssh is ssh's |
 * | `tls-hostname`     | all             | the name on the server's certificate, in place of the host             |
 * | `tls-verify-peer`  | all             | `true` or `false`; default: `true`                                     |
 * | `tls-priority`     | all             | not supported                                                          |
 * | `x-…`              | all             | passed over                                                            |
 *
 * @since 0.1.0
 * @category decoding
 */
export const parse: (text: string) => Effect.Effect<NbdUri, UriError | UriUnsupportedError> = parseText

/**
 * Writes a URI that `parse` reads as the same.
 *
 * @since 0.1.0
 * @category encoding
 */
export const format: (uri: NbdUri) => Effect.Effect<string, UriUnwritableError> = formatUri

/**
 * Whether a text begins like an NBD URI, with one of the eight schemes and `://` (libnbd: `is_uri`). The rest may still
 * be wrong.
 *
 * @since 0.1.0
 * @category guards
 */
export const isUri = (text: string): boolean => {
  const scheme = /^([A-Za-z+]{1,10}):\/\//.exec(text)?.[1]
  return scheme !== undefined && schemes.has(scheme.toLowerCase())
}

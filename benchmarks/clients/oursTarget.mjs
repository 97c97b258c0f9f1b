/**
 * How effect-nbd reaches the server of a workload.
 */
import * as CommandTransport from "@effect-nbd/node/CommandTransport"
import * as TcpTransport from "@effect-nbd/node/TcpTransport"
import * as UnixTransport from "@effect-nbd/node/UnixTransport"
import * as Command from "@effect/platform/Command"
import { readFileSync } from "node:fs"

const layers = {
  unix: ({ path }) => UnixTransport.layer({ path }),
  tcp: ({ host, port }) => TcpTransport.layer({ host, port }),
  tls: ({ host, port }) => TcpTransport.layer({ host, port }),
  command: ({ command }) => CommandTransport.layer(Command.make(...command))
}

export const transport = (target) => layers[target.transport](target)

/** Everything is left as it is by default; over TLS the server is verified. */
export const config = ({ tls }) =>
  tls === undefined
    ? {}
    : { tls: { mode: "Require", credentials: { _tag: "X509", authorities: [readFileSync(tls.authority, "utf8")] } } }

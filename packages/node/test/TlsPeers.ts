/** Real servers with TLS, and the arguments that make them so. */
import { Transport } from "@effect-nbd/core"
import type { TlsSettings } from "@effect-nbd/core/Tls"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import type { PkiMaker } from "./Pki.ts"
import type { ServerFailed } from "./RealServers.ts"

export type Server = Layer.Layer<Transport.Transport, ServerFailed>

/** The same server, by a transport that names its TLS. */
export const encrypted = (server: Server, tls: TlsSettings): Server =>
  Layer.map(server, (context) => {
    const transport = Context.get(context, Transport.Transport)
    return Context.add(context, Transport.Transport, { ...transport, tls })
  })

/** For nbdkit: which certificates it shows. */
export const certificates = (pki: PkiMaker, name: string): ReadonlyArray<string> => [
  `--tls-certificates=${pki.path(name)}`
]
export const requireTls = (pki: PkiMaker, name = "good"): ReadonlyArray<string> => [
  "--tls=require",
  ...certificates(pki, name)
]
export const requirePsk = (pki: PkiMaker): ReadonlyArray<string> => [
  "--tls=require",
  `--tls-psk=${pki.path("psk", "keys.psk")}`
]

export const qemuX509 = (pki: PkiMaker, verifyPeer: "yes" | "no"): ReadonlyArray<string> => [
  "--object",
  `tls-creds-x509,id=tls,endpoint=server,dir=${pki.path("good")},verify-peer=${verifyPeer}`,
  "--tls-creds",
  "tls"
]
export const qemuPsk = (pki: PkiMaker): ReadonlyArray<string> => [
  "--object",
  `tls-creds-psk,id=tls,endpoint=server,dir=${pki.path("psk")}`,
  "--tls-creds",
  "tls"
]

/** What a client needs for the certificates in `good`. */
export const trusting = (pki: PkiMaker, more: Partial<TlsSettings> = {}): TlsSettings => ({
  mode: "Require",
  credentials: pki.trust("good"),
  hostname: "nbd.example",
  ...more
})

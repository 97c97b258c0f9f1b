/**
 * URIs as values.
 */
import * as NbdUri from "@effect-nbd/core/NbdUri"
import * as Effect from "effect/Effect"

export const parse = (text: string): NbdUri.NbdUri => Effect.runSync(NbdUri.parse(text))
export const refusal = (text: string) => Effect.runSync(Effect.flip(NbdUri.parse(text)))
export const format = (uri: NbdUri.NbdUri): string => Effect.runSync(NbdUri.format(uri))

export const tcp = (host: string, port: number, exportName = "") => NbdUri.of({ _tag: "Tcp", host, port }, exportName)
export const unix = (path: string, exportName = "") => NbdUri.of({ _tag: "Unix", path }, exportName)
export const vsock = (cid: number, port: number, exportName = "") => NbdUri.of({ _tag: "Vsock", cid, port }, exportName)
export const ssh = (host: string, changes: Partial<Extract<NbdUri.UriTransport, { readonly _tag: "Ssh" }>> = {}) =>
  NbdUri.of({
    _tag: "Ssh",
    host,
    user: undefined,
    port: undefined,
    target: { _tag: "Port", port: 10_809 },
    compress: false,
    ...changes
  })

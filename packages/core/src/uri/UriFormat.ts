/**
 * From what a URI says to its text, with ports explicit and everything else that has its default left out.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Host from "./Host.ts"
import * as SshArguments from "./SshArguments.ts"
import { UriUnwritableError } from "./UriError.ts"
import {
  exportNameRefusal,
  maxUriLength,
  type NbdUri,
  portRefusal,
  schemeOf,
  textRefusal,
  type UriTls,
  type UriTransport,
  vsockRefusal
} from "./UriModel.ts"

/**
 * @since 0.1.0
 * @category encoding
 */
export const format = (uri: NbdUri): Effect.Effect<string, UriUnwritableError> =>
  Effect.suspend(() => {
    const refused = refusalOf(uri)
    if (refused !== undefined) return Effect.fail(refused)
    const text = write(uri)
    return text.length > maxUriLength
      ? Effect.fail(new UriUnwritableError({ part: "uri", reason: `a URI has at most ${maxUriLength} characters` }))
      : Effect.succeed(text)
  })

type Part = UriUnwritableError["part"]

const refusalOf = ({ exportName, tls, transport }: NbdUri): UriUnwritableError | undefined => {
  const checks: ReadonlyArray<readonly [Part, string | undefined]> = [
    ["exportName", exportNameRefusal(exportName)],
    ["username", optional(tls.username, textRefusal)],
    ["hostname", optional(tls.hostname, nameRefusal)],
    ["credentials", tls.credentials?._tag === "X509" ? optional(tls.credentials.directory, nameRefusal) : undefined],
    ["credentials", tls.credentials?._tag === "Psk" ? optional(tls.credentials.file, nameRefusal) : undefined],
    ...transportChecks(transport)
  ]
  for (const [part, reason] of checks) {
    if (reason !== undefined) return new UriUnwritableError({ part, reason })
  }
  return undefined
}

const transportChecks = (transport: UriTransport): ReadonlyArray<readonly [Part, string | undefined]> => {
  switch (transport._tag) {
    case "Tcp":
      return [["host", nameRefusal(transport.host)], ["port", portRefusal(transport.port)]]
    case "Unix":
      return [["path", nameRefusal(transport.path)]]
    case "Vsock":
      return [["cid", vsockRefusal(transport.cid)], ["port", vsockRefusal(transport.port)]]
    case "Ssh":
      return [
        ["host", SshArguments.hostRefusal(transport.host)],
        ["user", optional(transport.user, SshArguments.userRefusal)],
        ["port", optional(transport.port, portRefusal)],
        transport.target._tag === "Port"
          ? ["port", portRefusal(transport.target.port)]
          : ["path", SshArguments.socketRefusal(transport.target.path)]
      ]
  }
}

const optional = <A>(value: A | undefined, refusal: (value: A) => string | undefined): string | undefined =>
  value === undefined ? undefined : refusal(value)

const nameRefusal = (text: string): string | undefined => text === "" ? "it is empty" : textRefusal(text)

const write = (uri: NbdUri): string => {
  const { exportName, tls, transport } = uri
  const parameters = [...transportParameters(transport), ...tlsParameters(tls, transport._tag === "Ssh")]
  const query = parameters.map(([name, value]) => `${name}=${escapePath(value)}`).join("&")
  return `${schemeOf(uri)}://${authorityOf(transport, tls)}/${escapePath(exportName)}${query === "" ? "" : `?${query}`}`
}

const escapePath = (text: string): string => encodeURIComponent(text).replaceAll("%2F", "/")

const authorityOf = (transport: UriTransport, { username }: UriTls): string => {
  const user = transport._tag === "Ssh" ? transport.user : username
  const before = user === undefined ? "" : `${encodeURIComponent(user)}@`
  switch (transport._tag) {
    case "Tcp":
      return `${before}${Host.format(transport.host, encodeURIComponent)}:${transport.port}`
    case "Unix":
      return before
    case "Vsock":
      return `${before}${transport.cid}:${transport.port}`
    case "Ssh": {
      const port = transport.port === undefined ? "" : `:${transport.port}`
      return `${before}${Host.format(transport.host, encodeURIComponent)}${port}`
    }
  }
}

type Parameters = ReadonlyArray<readonly [name: string, value: string]>

const transportParameters = (transport: UriTransport): Parameters => {
  if (transport._tag === "Unix") return [["socket", transport.path]]
  if (transport._tag !== "Ssh") return []
  const { compress, target } = transport
  return [
    target._tag === "Socket" ? ["socket", target.path] : ["nbd-port", `${target.port}`],
    ...(compress ? [["compress", "true"]] as const : [])
  ]
}

/** The user before the host of an SSH URI is another one. */
const tlsParameters = (tls: UriTls, overSsh: boolean): Parameters => {
  const { credentials, hostname, username, verifyPeer } = tls
  const parameters: Array<readonly [string, string]> = []
  if (credentials?._tag === "X509") {
    parameters.push(
      credentials.directory === undefined ? ["tls-type", "x509"] : ["tls-certificates", credentials.directory]
    )
  }
  if (credentials?._tag === "Psk") {
    parameters.push(credentials.file === undefined ? ["tls-type", "psk"] : ["tls-psk-file", credentials.file])
  }
  if (hostname !== undefined) parameters.push(["tls-hostname", hostname])
  if (overSsh && username !== undefined) parameters.push(["tls-username", username])
  if (!verifyPeer) parameters.push(["tls-verify-peer", "false"])
  return parameters
}

/**
 * NBD URIs (specification, "NBD URI"; C-232 … C-242): where a server is and which export is wanted of it.
 *
 * Not by `new URL`, which resolves dot segments, also escaped ones, and so changes export names: the raw path is taken
 * from the text and percent-decoded once. Stricter than libnbd where its leniency hides a mistake: a fragment, a host
 * before a Unix socket's path, port 0, NUL and unknown or repeated parameters are refused. No file is read.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { encodeText, maxStringBytes } from "./wire/Bytes.ts"

/**
 * The text is not an NBD URI. `part` is the offending piece, as it is written there.
 *
 * @since 0.1.0
 * @category errors
 */
export class UriError extends Data.TaggedError("NbdUriError")<{
  readonly uri: string
  readonly part: string
  readonly reason: string
}> {
  override get message(): string {
    return `not an NBD URI: ${JSON.stringify(this.part)}: ${this.reason}`
  }
}

/**
 * The URI asks for something known that cannot be had here: another transport, or TLS.
 *
 * @since 0.1.0
 * @category errors
 */
export class UriUnsupportedError extends Data.TaggedError("NbdUriUnsupportedError")<{
  readonly uri: string
  readonly scheme: string
  readonly why: string
}> {
  override get message(): string {
    return `cannot use this ${this.scheme} URI: ${this.why}`
  }
}

/**
 * `host` is without brackets, `port` from 1 to 65535.
 *
 * @since 0.1.0
 * @category models
 */
export type UriTransport =
  | { readonly _tag: "Tcp"; readonly host: string; readonly port: number }
  | { readonly _tag: "Unix"; readonly path: string }

/**
 * @since 0.1.0
 * @category models
 */
export interface NbdUri {
  readonly transport: UriTransport
  /** At most 4096 bytes of UTF-8 without NUL; empty for the server's default export. */
  readonly exportName: string
  /** Whether TLS is required (`nbds`, `nbds+unix`). */
  readonly tls: boolean
  /** The user name for TLS, where the URI has one. */
  readonly username: string | undefined
}

/**
 * Port of a TCP URI that names none (C-236).
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultPort = 10_809

/**
 * Host of a TCP URI that names none.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultHost = "localhost"

/**
 * Reads `nbd://[user@][host][:port][/export]` or `nbd+unix://[user@][/export]?socket=PATH`; `nbds` for TLS. Schemes
 * and parameter names are case-insensitive. Parameters: `socket` (Unix), `nbd-port` (TCP, in place of the port),
 * `tls-username` (in place of the user), and any that begins with `x-`, which are passed over.
 *
 * Fails with `UriUnsupportedError` for vsock and SSH, and for parameters that set TLS up.
 *
 * @since 0.1.0
 * @category decoding
 */
export const parse = (text: string): Effect.Effect<NbdUri, UriError | UriUnsupportedError> =>
  Effect.suspend(() => {
    const result = parseText(text)
    return result instanceof UriError || result instanceof UriUnsupportedError
      ? Effect.fail(result)
      : Effect.succeed(result)
  })

/**
 * Writes a URI that `parse` reads as the same, with the port always explicit. Lone surrogates, which no URI can hold,
 * become U+FFFD.
 *
 * @since 0.1.0
 * @category encoding
 */
export const format = (uri: NbdUri): string => {
  const { transport } = uri
  const user = uri.username === undefined ? "" : `${escape(uri.username)}@`
  const path = `/${escape(uri.exportName).replaceAll("%2F", "/")}`
  switch (transport._tag) {
    case "Tcp":
      return `${schemeOf(uri)}://${user}${formatHost(transport.host)}:${transport.port}${path}`
    case "Unix":
      return `${schemeOf(uri)}://${user}${path}?socket=${escape(transport.path).replaceAll("%2F", "/")}`
  }
}

/**
 * @since 0.1.0
 * @category encoding
 */
export const schemeOf = (uri: NbdUri): string =>
  `nbd${uri.tls ? "s" : ""}${uri.transport._tag === "Unix" ? "+unix" : ""}`

const escape = (text: string): string => encodeURIComponent(text.replace(/\p{Surrogate}/gu, "\uFFFD"))

const formatHost = (host: string): string => {
  const [, address, zone] = /^([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)(?:%([^]+))?$/.exec(host) ?? []
  if (address === undefined) return escape(host)
  return zone === undefined ? `[${address}]` : `[${address}%25${escape(zone)}]`
}

type Refused = UriError | UriUnsupportedError

const schemes: Readonly<Record<string, { readonly over: "Tcp" | "Unix" | "vsock" | "SSH"; readonly tls: boolean }>> = {
  "nbd": { over: "Tcp", tls: false },
  "nbds": { over: "Tcp", tls: true },
  "nbd+unix": { over: "Unix", tls: false },
  "nbds+unix": { over: "Unix", tls: true },
  "nbd+vsock": { over: "vsock", tls: false },
  "nbds+vsock": { over: "vsock", tls: true },
  "nbd+ssh": { over: "SSH", tls: false },
  "nbds+ssh": { over: "SSH", tls: true }
}

/** Parameters of libnbd 1.24 that set TLS up. */
const tlsParameters: ReadonlySet<string> = new Set([
  "tls-certificates",
  "tls-hostname",
  "tls-priority",
  "tls-psk-file",
  "tls-type",
  "tls-verify-peer"
])

const parseText = (text: string): NbdUri | Refused => {
  const bad = (part: string, reason: string): UriError => new UriError({ uri: text, part, reason })
  const illegal = /[^!#$%&'()*+,\-./0-9:;=?@A-Z[\]_a-z~]/u.exec(text)?.[0]
  if (illegal !== undefined) return bad(illegal, "has to be percent-encoded")
  const [, schemeText, authority = "", path = "", query, fragment] =
    /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/.exec(text) ?? []
  if (schemeText === undefined) return bad(text, "a URI begins with nbd:// or nbd+unix://")
  const scheme = schemeText.toLowerCase()
  const kind = Object.hasOwn(schemes, scheme) ? schemes[scheme] : undefined
  if (kind === undefined) return bad(schemeText, "the scheme is none of nbd, nbds, nbd+unix and nbds+unix")
  const { over } = kind
  if (over !== "Tcp" && over !== "Unix") {
    return new UriUnsupportedError({ uri: text, scheme, why: `no ${over} transport` })
  }
  if (fragment !== undefined) return bad(`#${fragment}`, "no fragment is allowed; a # in a name is written %23")

  const parameters = parseQuery(query ?? "", bad)
  if (parameters instanceof UriError) return parameters
  const known = over === "Tcp" ? ["nbd-port", "tls-username"] : ["socket", "tls-username"]
  for (const name of parameters.keys()) {
    if (tlsParameters.has(name)) {
      return new UriUnsupportedError({ uri: text, scheme, why: `the parameter ${name} is not supported yet` })
    }
    if (name === "socket" && over === "Tcp") return bad(name, "only nbd+unix has the parameter socket")
    if (!known.includes(name) && !name.startsWith("x-")) return bad(name, "no such parameter")
  }

  const exportName = decode(path.slice(1))
  if (exportName === undefined) return bad(path, malformed)
  if (encodeText(exportName).byteLength > maxStringBytes) {
    return bad(path, `an export name has at most ${maxStringBytes} bytes`)
  }

  const at = authority.lastIndexOf("@")
  const username = parameters.get("tls-username") ?? (at === -1 ? undefined : decode(authority.slice(0, at)))
  if (username === undefined && at !== -1) return bad(authority, malformed)
  const transport = over === "Unix"
    ? unixTransport(authority.slice(at + 1), parameters.get("socket"), bad)
    : tcpTransport(authority.slice(at + 1), parameters.get("nbd-port"), bad)
  return transport instanceof UriError ? transport : { transport, exportName, tls: kind.tls, username }
}

type Bad = (part: string, reason: string) => UriError

const malformed = "not well-formed percent-encoded UTF-8 without NUL"

/** Once, as a whole; `undefined` for broken escapes, bytes that are not UTF-8, and NUL. */
const decode = (raw: string): string | undefined => {
  try {
    const text = decodeURIComponent(raw)
    return text.includes("\0") ? undefined : text
  } catch {
    return undefined
  }
}

/** As libnbd: split at `&`, or at `;` where there is no `&`. `+` stands for itself. */
const parseQuery = (query: string, bad: Bad): ReadonlyMap<string, string> | UriError => {
  const parameters = new Map<string, string>()
  for (const piece of query.split(query.includes("&") ? "&" : ";")) {
    if (piece === "") continue
    const equals = piece.indexOf("=")
    const name = (equals === -1 ? piece : piece.slice(0, equals)).toLowerCase()
    const value = equals === -1 ? "" : decode(piece.slice(equals + 1))
    if (value === undefined) return bad(piece, malformed)
    if (parameters.has(name)) return bad(name, "the parameter is there twice")
    parameters.set(name, value)
  }
  return parameters
}

const unixTransport = (authority: string, path: string | undefined, bad: Bad): UriTransport | UriError => {
  if (authority !== "") return bad(authority, "a Unix socket has no host: nbd+unix:///export?socket=PATH")
  return path === undefined || path === ""
    ? bad("socket", "the parameter socket=PATH is missing")
    : { _tag: "Unix", path }
}

const tcpTransport = (authority: string, nbdPort: string | undefined, bad: Bad): UriTransport | UriError => {
  const match = /^(?:\[([^[\]]*)\]|([^:[\]]*))(?::([^:[\]]*))?$/.exec(authority)
  if (match === null) return bad(authority, "an IPv6 address is written in brackets, a port after one colon")
  const [, literal, name = "", portText = ""] = match
  if (literal !== undefined && !/^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%25.+)?$/.test(literal)) {
    return bad(literal, "not an IPv6 address")
  }
  const host = decode(literal ?? name)
  if (host === undefined) return bad(authority, malformed)
  const digits = nbdPort ?? portText
  const port = digits === "" && nbdPort === undefined ? defaultPort : /^[0-9]{1,5}$/.test(digits) ? Number(digits) : 0
  if (port < 1 || port > 65_535) return bad(digits, "a port is a number from 1 to 65535")
  return { _tag: "Tcp", host: host === "" ? defaultHost : host, port }
}

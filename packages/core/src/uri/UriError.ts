/**
 * Why a text is not a URI that can be used, or a value cannot be written as one. Secrets do not get into these errors.
 *
 * @since 0.1.0
 */
import { TaggedError } from "../errors/TaggedError.ts"

/**
 * The text is not an NBD URI. `part` is the offending piece, as it is written there. In `uri` and `part` a password and
 * the values of unknown parameters are blotted out; a `uri` that is too long is cut.
 *
 * @since 0.1.0
 * @category errors
 */
export class UriError extends TaggedError("NbdUriError")<{
  readonly uri: string
  readonly part: string
  readonly reason: string
}> {
  override get message(): string {
    return `not an NBD URI: ${JSON.stringify(this.part)}: ${this.reason}`
  }
}

/**
 * The URI asks for something known that cannot be had here: a transport, or a way of doing TLS. `uri` is as in
 * `UriError`.
 *
 * @since 0.1.0
 * @category errors
 */
export class UriUnsupportedError extends TaggedError("NbdUriUnsupportedError")<{
  readonly uri: string
  readonly scheme: string
  readonly why: string
}> {
  override get message(): string {
    return `cannot use this ${this.scheme} URI: ${this.why}`
  }
}

/**
 * No URI says what this value says. `part` names the field.
 *
 * @since 0.1.0
 * @category errors
 */
export class UriUnwritableError extends TaggedError("NbdUriUnwritableError")<{
  readonly part:
    | "host"
    | "port"
    | "path"
    | "cid"
    | "user"
    | "exportName"
    | "username"
    | "credentials"
    | "hostname"
    | "uri"
  readonly reason: string
}> {
  override get message(): string {
    return `cannot be written as an NBD URI: ${this.part}: ${this.reason}`
  }
}

/**
 * A handle that is connected by a transport that no URI can name has none.
 *
 * @since 0.1.0
 * @category errors
 */
export class NoUriError extends TaggedError("NbdNoUriError")<{
  /** What the handle is connected to, in words; `undefined` where it never was. */
  readonly target: string | undefined
}> {
  override get message(): string {
    return this.target === undefined ? "the handle was never connected" : `no URI can name ${this.target}`
  }
}

/**
 * Query parameters that have a meaning; none of them holds a secret.
 *
 * @since 0.1.0
 * @category constants
 */
export const parameterNames: ReadonlySet<string> = new Set([
  "compress",
  "nbd-port",
  "socket",
  "tls-certificates",
  "tls-hostname",
  "tls-priority",
  "tls-psk-file",
  "tls-type",
  "tls-username",
  "tls-verify-peer"
])

const blot = "<redacted>"

/** What is shown of a text at most, in characters. */
const longest = 1024

/**
 * A URI, or what was meant to be one, as it may be shown: without a password, and without the values of parameters
 * that are not known.
 *
 * @since 0.1.0
 * @category errors
 */
export const redact = (text: string): string => {
  const question = text.indexOf("?")
  const [, before = "", authority = "", rest = ""] =
    /^([^/?#]*\/\/|)([^/?#]*)([^]*)$/.exec(question === -1 ? text : text.slice(0, question)) ?? []
  const at = authority.lastIndexOf("@")
  const shown = at === -1
    ? authority
    : `${redactUser(authority.slice(0, at))}${authority.slice(at)}`
  const query = question === -1 ? "" : text.slice(question).replace(
    /([?&;])([^=&;#?]*)=[^&;#]*/g,
    (whole, separator: string, name: string) =>
      parameterNames.has(name.toLowerCase()) ? whole : `${separator}${name}=${blot}`
  )
  const all = `${before}${shown}${rest}${query}`
  return all.length > longest ? `${all.slice(0, longest)}…` : all
}

/**
 * A user name as it may be shown: people write `user:password`.
 *
 * @since 0.1.0
 * @category errors
 */
export const redactUser = (user: string): string => {
  const [name, colon] = user.split(/(:|%3A)/i, 2)
  return name === undefined || colon === undefined ? user : `${name}:${blot}`
}

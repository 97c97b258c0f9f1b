/**
 * The pieces of a URI's text, by RFC 3986, before anything is made of them.
 *
 * Not by `new URL`, which resolves dot segments, also escaped ones, and so changes export names: every piece is taken
 * from the text as it stands, and percent-decoded once. Each step takes time linear to the length.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { redact, UriError, UriUnsupportedError } from "./UriError.ts"
import { maxUriLength } from "./UriModel.ts"

/**
 * Still percent-encoded, but for the parameters.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pieces {
  /** In lower case. */
  readonly scheme: string
  readonly user: string | undefined
  /** What is left of the authority: a host and a port. */
  readonly address: string
  /** With its slash; empty if there is none. */
  readonly path: string
  /** By their names in lower case, decoded, in order. */
  readonly parameters: ReadonlyMap<string, string>
}

/**
 * Ways to say no to a text.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refuse {
  readonly bad: (part: string, reason: string) => Effect.Effect<never, UriError>
  readonly unsupported: (scheme: string, why: string) => Effect.Effect<never, UriUnsupportedError>
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const refuse = (text: string): Refuse => ({
  bad: (part, reason) => Effect.fail(new UriError({ uri: redact(text), part: redact(part), reason })),
  unsupported: (scheme, why) => Effect.fail(new UriUnsupportedError({ uri: redact(text), scheme, why }))
})

/**
 * Says how a piece is wrong that cannot be decoded.
 *
 * @since 0.1.0
 * @category constants
 */
export const malformed = "not well-formed percent-encoded UTF-8 without NUL"

/**
 * Once, as a whole; `undefined` for broken escapes, bytes that are not UTF-8, and NUL.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode = (raw: string): string | undefined => {
  try {
    const text = decodeURIComponent(raw)
    return text.includes("\0") ? undefined : text
  } catch {
    return undefined
  }
}

/**
 * @since 0.1.0
 * @category decoding
 */
export const split = (text: string, { bad }: Refuse): Effect.Effect<Pieces, UriError> =>
  Effect.gen(function*() {
    if (text.length > maxUriLength) return yield* bad(text, `a URI has at most ${maxUriLength} characters`)
    const illegal = /[^!#$%&'()*+,\-./0-9:;=?@A-Z[\]_a-z~]/u.exec(text)?.[0]
    if (illegal !== undefined) return yield* bad(illegal, "has to be percent-encoded")
    const [, scheme, authority = "", path = "", query = "", fragment] =
      /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/.exec(text) ?? []
    if (scheme === undefined) return yield* bad(text, hint(text))
    if (fragment !== undefined) {
      return yield* bad(`#${fragment}`, "no fragment is allowed; a # in a name is written %23")
    }
    const at = authority.lastIndexOf("@")
    return {
      scheme: scheme.toLowerCase(),
      user: at === -1 ? undefined : authority.slice(0, at),
      address: authority.slice(at + 1),
      path,
      parameters: yield* parametersOf(query, bad)
    }
  })

const hint = (text: string): string => {
  if (text.startsWith("/")) {
    return "a URI begins with nbd:// or the like; for a local socket say nbd+unix:///?socket=PATH"
  }
  if (/^localhost/i.test(text)) return "a URI begins with nbd:// or the like; for a local port say nbd://localhost:PORT"
  return "a URI begins with nbd:// or the like"
}

/** As libnbd: split at `&`, or at `;` where there is no `&`. `+` stands for itself. */
const parametersOf = (query: string, bad: Refuse["bad"]): Effect.Effect<ReadonlyMap<string, string>, UriError> =>
  Effect.gen(function*() {
    const parameters = new Map<string, string>()
    for (const piece of query.split(query.includes("&") ? "&" : ";")) {
      if (piece === "") continue
      const equals = piece.indexOf("=")
      const rawName = equals === -1 ? piece : piece.slice(0, equals)
      const name = decode(rawName)?.toLowerCase()
      if (name === undefined) return yield* bad(rawName, malformed)
      const value = equals === -1 ? "" : decode(piece.slice(equals + 1))
      if (value === undefined) return yield* bad(redact(`?${piece}`).slice(1), malformed)
      if (parameters.has(name)) return yield* bad(name, "the parameter is there twice")
      parameters.set(name, value)
    }
    return parameters
  })

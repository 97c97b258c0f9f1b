/**
 * Words that look like the address of a server, and the URI that was meant by one that is none.
 *
 * @since 0.1.0
 */
import * as NbdUri from "@effect-nbd/core/NbdUri"
import * as Effect from "effect/Effect"

/** What others write before an address or a path. As the name of a file it would be an odd one. */
const othersSchemes: ReadonlySet<string> = new Set(["file", "json", "ssh", "tcp", "unix", "vsock"])

interface Schemed {
  /** In lower case. */
  readonly scheme: string
  /** What follows the colon. */
  readonly rest: string
}

const schemed = (text: string): Schemed | undefined => {
  const [, scheme, rest] = /^\s*([A-Za-z][A-Za-z0-9+.-]*):([^]*)$/.exec(text) ?? []
  return scheme === undefined || rest === undefined ? undefined : { scheme: scheme.toLowerCase(), rest }
}

/** A numeric address or localhost, with a port: other hosts are not to be told from the names of files. */
const endpoint = /^\s*(?:\[([0-9A-Fa-f:.]+)\]|([0-9]{1,3}(?:\.[0-9]{1,3}){3}|localhost)):([0-9]{1,5})(?:\/[^]*)?$/i

/**
 * Whether a word begins with a scheme, ours before a mere colon as well, or is a host's numeric address and a port.
 *
 * @since 0.1.0
 * @category guards
 */
export const isLike = (text: string): boolean => {
  const found = schemed(text)
  if (found === undefined) return endpoint.test(text)
  const { rest, scheme } = found
  const [base = ""] = scheme.split("+")
  return rest.startsWith("//") || NbdUri.schemes.has(base) || othersSchemes.has(scheme) || endpoint.test(text)
}

/**
 * The URI that somebody meant who wrote a word that is none: QEMU's `nbd:unix:PATH:exportname=NAME` and
 * `nbd:HOST:PORT:exportname=NAME`, a URI without its slashes, a socket in the URI of a host, a host and its port.
 * `undefined` where that is not clear, or where it would show a password.
 *
 * @since 0.1.0
 * @category decoding
 */
export const meant = (word: string): Effect.Effect<string | undefined> => {
  const [first, ...others] = readings(word.trim())
  if (first === undefined) return Effect.succeed(undefined)
  return Effect.firstSuccessOf([first, ...others]).pipe(
    Effect.map((uri) => NbdUri.redact(uri) === uri ? uri : undefined),
    Effect.orElseSucceed(() => undefined)
  )
}

/**
 * The URI of the default export of a server at a local socket; `undefined` where no URI can hold the path.
 *
 * @since 0.1.0
 * @category encoding
 */
export const ofSocket = (path: string): Effect.Effect<string | undefined> =>
  Effect.orElseSucceed(NbdUri.format(NbdUri.of({ _tag: "Unix", path })), () => undefined)

type Reading = Effect.Effect<string, NbdUri.UriError | NbdUri.UriUnsupportedError | NbdUri.UriUnwritableError>

/** What a word may have meant, the likeliest first; what it cannot have meant fails. */
const readings = (text: string): ReadonlyArray<Reading> => {
  const found = schemed(text)
  const kind = found === undefined ? undefined : NbdUri.schemes.get(found.scheme)
  if (found === undefined || kind === undefined) return withoutOurScheme(text, found)
  const { rest, scheme } = found
  const { over, required } = kind
  if (rest.startsWith("//")) return [asWritten(`${scheme}:${rest}`), ...over === "Tcp" ? [atSocket(found)] : []]
  const address = rest.replace(/^\//, "")
  switch (over) {
    case "Tcp":
      return [
        ...inQemusSyntax(rest, required),
        atSocket({ scheme, rest: `//${address}` }),
        asWritten(`${scheme}://${address}`)
      ]
    case "Unix":
      return [spelt(`${scheme}:///${address}`), of({ _tag: "Unix", path: rest }, "", required)]
    case "Vsock":
    case "Ssh":
      return [asWritten(`${scheme}://${address}`)]
  }
}

const withoutOurScheme = (text: string, found: Schemed | undefined): ReadonlyArray<Reading> => {
  if (endpoint.test(text)) return [asWritten(`nbd://${text}`)]
  const rest = found?.rest.replace(/^\/\//, "") ?? ""
  switch (found?.scheme) {
    case "unix":
      return [of({ _tag: "Unix", path: rest }, "", false)]
    case "tcp":
      return [asWritten(`nbd://${rest}`)]
    case "ssh":
      return [asWritten(`nbd+ssh://${rest}`)]
    default:
      return []
  }
}

/** A socket is on this machine, and so it has another scheme than a host. */
const atSocket = ({ rest, scheme }: Schemed): Reading => spelt(`${scheme}+unix:${rest}`)

const inQemusSyntax = (rest: string, required: boolean): ReadonlyArray<Reading> => {
  const [, place = "", exportName = ""] = /^([^]*?)(?::exportname=([^]*))?$/.exec(rest) ?? []
  const [, path] = /^unix:([^]*)$/.exec(place) ?? []
  if (path !== undefined) return [of({ _tag: "Unix", path }, exportName, required)]
  const [, v6, host = v6, port] = /^(?:\[([^[\]]+)\]|([^:[\]/?#@]+)):([0-9]{1,5})$/.exec(place) ?? []
  return host === undefined ? [] : [of({ _tag: "Tcp", host, port: Number(port) }, exportName, required)]
}

/** A text that is a URI as it stands. */
const asWritten = (uri: string): Reading => Effect.as(NbdUri.parse(uri), uri)

/** A text that is a URI, as this program writes it. */
const spelt = (uri: string): Reading => Effect.flatMap(NbdUri.parse(uri), NbdUri.format)

const of = (transport: NbdUri.UriTransport, exportName: string, required: boolean): Reading =>
  NbdUri.format({ transport, exportName, tls: { ...NbdUri.noTls, required } })

/**
 * From the pieces of a URI's text to what it says.
 *
 * Stricter than libnbd where its leniency hides a mistake: unknown, repeated and contradictory parameters, parameters
 * of another scheme, a host before a Unix socket's path and port 0 are refused.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Host from "./Host.ts"
import * as SshArguments from "./SshArguments.ts"
import { redactUser, type UriError, type UriUnsupportedError } from "./UriError.ts"
import {
  defaultCid,
  defaultHost,
  defaultPort,
  exportNameRefusal,
  type NbdUri,
  portRefusal,
  schemes,
  type UriCredentials,
  type UriTls,
  type UriTransport,
  vsockRefusal
} from "./UriModel.ts"
import * as UriText from "./UriText.ts"

/**
 * @since 0.1.0
 * @category decoding
 */
export const parse = (text: string): Effect.Effect<NbdUri, UriError | UriUnsupportedError> =>
  Effect.gen(function*() {
    const refuse = UriText.refuse(text)
    const pieces = yield* UriText.split(text, refuse)
    const kind = schemes.get(pieces.scheme)
    if (kind === undefined) {
      return yield* refuse.bad(pieces.scheme, "the scheme is none of nbd and nbds, alone or with +unix, +vsock or +ssh")
    }
    yield* onlyKnown(pieces, kind.over, refuse)
    const exportName = yield* decoded(pieces.path.slice(1), pieces.path, refuse)
    const wrong = exportNameRefusal(exportName)
    if (wrong !== undefined) return yield* refuse.bad(pieces.path, wrong)
    const user = pieces.user === undefined ? undefined : yield* decoded(pieces.user, redactUser(pieces.user), refuse)
    return {
      transport: yield* readers[kind.over]({ ...pieces, user }, refuse),
      exportName,
      tls: yield* tlsOf(pieces, kind.over === "Ssh" ? undefined : user, kind.required, refuse)
    }
  })

type Pieces = UriText.Pieces
type Refuse = UriText.Refuse

const decoded = (raw: string, part: string, { bad }: Refuse): Effect.Effect<string, UriError> => {
  const value = UriText.decode(raw)
  return value === undefined ? bad(part, UriText.malformed) : Effect.succeed(value)
}

const tlsParameters = [
  "tls-certificates",
  "tls-hostname",
  "tls-priority",
  "tls-psk-file",
  "tls-type",
  "tls-username",
  "tls-verify-peer"
]

const ownParameters: Readonly<Record<UriTransport["_tag"], ReadonlyArray<string>>> = {
  Tcp: ["nbd-port"],
  Unix: ["socket"],
  Vsock: ["nbd-port"],
  Ssh: ["nbd-port", "socket", "compress"]
}

const onlyKnown = (
  { parameters, scheme }: Pieces,
  over: UriTransport["_tag"],
  { bad }: Refuse
): Effect.Effect<void, UriError> =>
  Effect.forEach(parameters.keys(), (name) => {
    if (name.startsWith("x-") || tlsParameters.includes(name) || ownParameters[over].includes(name)) return Effect.void
    const others = Object.values(ownParameters).flat()
    return bad(name, others.includes(name) ? `${scheme} has no parameter ${name}` : "no such parameter")
  }, { discard: true })

type Read = (
  pieces: Pieces,
  refuse: Refuse
) => Effect.Effect<UriTransport, UriError | UriUnsupportedError>

const tcp: Read = ({ address, parameters }, refuse) =>
  Effect.gen(function*() {
    const { host, port } = yield* hostAndPort(address, refuse)
    const nbdPort = parameters.get("nbd-port")
    return {
      _tag: "Tcp",
      host: host === "" ? defaultHost : host,
      port: (nbdPort === undefined ? port : yield* portOf(nbdPort, refuse)) ?? defaultPort
    }
  })

const unix: Read = ({ address, parameters, scheme }, { bad }) =>
  Effect.gen(function*() {
    if (address !== "") return yield* bad(address, `a Unix socket has no host: ${scheme}:///export?socket=PATH`)
    const path = parameters.get("socket")
    if (path === undefined || path === "") {
      return yield* bad("socket", `the path is missing: ${scheme}:///export?socket=PATH`)
    }
    return { _tag: "Unix", path }
  })

const vsock: Read = ({ address, parameters }, { bad }) =>
  Effect.gen(function*() {
    const [cid = "", port, more] = address.split(":")
    if (more !== undefined) return yield* bad(address, "a vsock address is CID:PORT")
    const number = (digits: string): Effect.Effect<number, UriError> => {
      const value = /^[0-9]{1,10}$/.test(digits) ? Number(digits) : -1
      const wrong = vsockRefusal(value)
      return wrong === undefined ? Effect.succeed(value) : bad(digits, wrong)
    }
    const own = port === undefined || port === "" ? defaultPort : yield* number(port)
    const nbdPort = parameters.get("nbd-port")
    return {
      _tag: "Vsock",
      cid: cid === "" ? defaultCid : yield* number(cid),
      port: nbdPort === undefined ? own : yield* number(nbdPort)
    }
  })

const ssh: Read = ({ address, parameters, user }, refuse) =>
  Effect.gen(function*() {
    const { bad } = refuse
    const { host, port } = yield* hostAndPort(address, refuse)
    const wrong = SshArguments.hostRefusal(host)
    if (wrong !== undefined) return yield* bad(address, host === "" ? "the host is missing" : wrong)
    const wrongUser = user === undefined ? undefined : SshArguments.userRefusal(user)
    if (user !== undefined && wrongUser !== undefined) return yield* bad(redactUser(user), wrongUser)
    const path = parameters.get("socket")
    const nbdPort = parameters.get("nbd-port")
    if (path !== undefined && nbdPort !== undefined) return yield* bad("nbd-port", "it contradicts socket")
    const wrongPath = path === undefined ? undefined : SshArguments.socketRefusal(path)
    if (path !== undefined && wrongPath !== undefined) return yield* bad(path, wrongPath)
    return {
      _tag: "Ssh",
      host,
      user,
      port,
      target: path === undefined
        ? { _tag: "Port", port: nbdPort === undefined ? defaultPort : yield* portOf(nbdPort, refuse) }
        : { _tag: "Socket", path },
      compress: (yield* booleanOf("compress", parameters, refuse)) ?? false
    }
  })

const readers: Readonly<Record<UriTransport["_tag"], Read>> = { Tcp: tcp, Unix: unix, Vsock: vsock, Ssh: ssh }

const hostAndPort = (address: string, refuse: Refuse) =>
  Effect.gen(function*() {
    const match = /^(?:\[([^[\]]*)\]|([^:[\]]*))(?::([^:[\]]*))?$/.exec(address)
    if (match === null) {
      return yield* refuse.bad(address, "an IPv6 address is written in brackets, a port after one colon")
    }
    const [, literal, name = "", digits = ""] = match
    const host = literal === undefined
      ? yield* decoded(name, address, refuse)
      : Host.ofLiteral(literal, UriText.decode)
    if (host === undefined) return yield* refuse.bad(literal ?? name, "not an IPv6 address")
    return { host, port: digits === "" ? undefined : yield* portOf(digits, refuse) }
  })

const portOf = (digits: string, { bad }: Refuse): Effect.Effect<number, UriError> => {
  const port = /^[0-9]{1,5}$/.test(digits) ? Number(digits) : 0
  const wrong = portRefusal(port)
  return wrong === undefined ? Effect.succeed(port) : bad(digits, wrong)
}

const booleanOf = (name: string, parameters: Pieces["parameters"], { bad }: Refuse) => {
  const value = parameters.get(name)
  if (value === undefined) return Effect.succeed(undefined)
  if (/^(?:1|true|t|yes|y|on)$/i.test(value)) return Effect.succeed(true)
  return /^(?:0|false|f|no|n|off)$/i.test(value)
    ? Effect.succeed(false)
    : bad(`${name}=${value}`, "it is true or false")
}

/** A parameter that names something, which an empty one does not. */
const nameOf = (name: string, parameters: Pieces["parameters"], { bad }: Refuse) => {
  const value = parameters.get(name)
  return value === "" ? bad(name, "the parameter is empty") : Effect.succeed(value)
}

const tlsOf = (
  { parameters, scheme }: Pieces,
  user: string | undefined,
  required: boolean,
  refuse: Refuse
): Effect.Effect<UriTls, UriError | UriUnsupportedError> =>
  Effect.gen(function*() {
    if (parameters.has("tls-priority")) {
      return yield* refuse.unsupported(scheme, "tls-priority is written in GnuTLS's language, and this is not GnuTLS")
    }
    return {
      required,
      username: parameters.get("tls-username") ?? user,
      credentials: yield* credentialsOf(scheme, parameters, refuse),
      hostname: yield* nameOf("tls-hostname", parameters, refuse),
      verifyPeer: (yield* booleanOf("tls-verify-peer", parameters, refuse)) ?? true
    }
  })

const credentialsOf = (
  scheme: string,
  parameters: Pieces["parameters"],
  refuse: Refuse
): Effect.Effect<UriCredentials | undefined, UriError | UriUnsupportedError> =>
  Effect.gen(function*() {
    const directory = yield* nameOf("tls-certificates", parameters, refuse)
    const file = yield* nameOf("tls-psk-file", parameters, refuse)
    const type = parameters.get("tls-type")?.toLowerCase()
    if (type === "anon") {
      return yield* refuse.unsupported(scheme, "anonymous TLS does not protect from somebody in between")
    }
    if (type !== undefined && type !== "x509" && type !== "psk") {
      return yield* refuse.bad(`tls-type=${type}`, "it is x509, psk or anon")
    }
    if (directory !== undefined && (file !== undefined || type === "psk")) {
      return yield* refuse.bad("tls-certificates", "it contradicts pre-shared keys")
    }
    if (file !== undefined && type === "x509") {
      return yield* refuse.bad("tls-psk-file", "it contradicts tls-type=x509")
    }
    if (type === "psk" || file !== undefined) return { _tag: "Psk", file }
    return type === "x509" || directory !== undefined ? { _tag: "X509", directory } : undefined
  })

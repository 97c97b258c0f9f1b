/**
 * From a host and a port as a user writes them to addresses to connect to.
 *
 * @since 0.1.0
 * @internal
 */
import { HostNotFoundError, ServiceNotFoundError } from "@effect-nbd/core/TransportError"
import * as Effect from "effect/Effect"
import * as dns from "node:dns"
import * as fs from "node:fs"
import * as net from "node:net"
import { codeOf } from "./StreamConnection.ts"

/**
 * Finds the addresses of a host name, in the order in which they are to be tried.
 *
 * @since 0.1.0
 * @category models
 */
export type Lookup = (host: string) => Effect.Effect<ReadonlyArray<string>, HostNotFoundError>

/**
 * The system's resolver (`getaddrinfo`), in its order. It cannot be cancelled: an interrupted lookup is let run.
 *
 * @since 0.1.0
 * @category constructors
 */
export const systemLookup: Lookup = (host) =>
  Effect.async((resume) => {
    const fail = (code: string, cause?: unknown): void =>
      resume(Effect.fail(new HostNotFoundError({ host, code, ...(cause === undefined ? {} : { cause }) })))
    if (host === "" || host.includes("\0")) return fail("ENOTFOUND")
    dns.lookup(host, { all: true, verbatim: true }, (error, found) => {
      if (error !== null) fail(codeOf(error), error)
      else if (found.length === 0) fail("ENOTFOUND")
      else resume(Effect.succeed(found.map(({ address }) => address)))
    })
  })

/**
 * The addresses of a host. IP literals, IPv6 with or without brackets and with a zone too, stand for themselves.
 *
 * @since 0.1.0
 * @category constructors
 */
export const resolveHost = (host: string, lookup: Lookup): Effect.Effect<ReadonlyArray<string>, HostNotFoundError> => {
  const bare = /^\[(.*)\]$/.exec(host)?.[1] ?? host
  return net.isIP(bare) === 0 ? lookup(host) : Effect.succeed([bare])
}

/**
 * The port of a number, of decimal digits, or of the service name `nbd` (10809): what can be told without asking the
 * system. It may be out of range.
 *
 * @since 0.1.0
 * @category constructors
 */
export const knownPort = (port: number | string): number | undefined => {
  if (typeof port === "number") return port
  if (/^[0-9]+$/.test(port)) return Number(port)
  return port === "nbd" ? 10_809 : undefined
}

/**
 * The same, or that of a name which /etc/services has for TCP.
 *
 * @since 0.1.0
 * @category constructors
 */
export const resolvePort = (port: number | string): Effect.Effect<number, ServiceNotFoundError> => {
  const inRange = (value: number): Effect.Effect<number, ServiceNotFoundError> =>
    Number.isInteger(value) && value >= 1 && value <= 65_535
      ? Effect.succeed(value)
      : Effect.suspend(() => Effect.fail(new ServiceNotFoundError({ service: String(port) })))
  const known = knownPort(port)
  return known === undefined
    ? Effect.flatMap(servicesFile, (text) => inRange(portOfService(text, String(port)) ?? 0))
    : inRange(known)
}

/** Absent on small systems, which then know `nbd` alone. */
const servicesFile: Effect.Effect<string> = Effect.async((resume, signal) => {
  fs.readFile(
    "/etc/services",
    { encoding: "utf8", signal },
    (error, text) => resume(Effect.succeed(error === null ? text : ""))
  )
})

/**
 * Looks a TCP service up, by its name or an alias, in text of the form of /etc/services.
 *
 * @since 0.1.0
 * @category decoding
 */
export const portOfService = (services: string, name: string): number | undefined => {
  if (name === "") return undefined
  for (const line of services.split("\n")) {
    const [service, port, ...aliases] = line.replace(/#.*/, "").trim().split(/\s+/)
    const digits = /^([0-9]+)\/tcp$/.exec(port ?? "")?.[1]
    if (digits !== undefined && (service === name || aliases.includes(name))) return Number(digits)
  }
  return undefined
}

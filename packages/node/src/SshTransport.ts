/**
 * NBD through SSH: an ssh program on this machine, and nc on the other one, which connects to a server there. Keys, host
 * keys, jumps and prompts are for ssh and its own configuration.
 *
 * Nothing that it is given reaches an option's place on the command line of ssh, nor has a meaning to the shell that
 * runs nc: what could is refused.
 *
 * @since 0.1.0
 */
import { type NbdUri, of, type SshTarget } from "@effect-nbd/core/NbdUri"
import { Transport } from "@effect-nbd/core/Transport"
import { SshArgumentError } from "@effect-nbd/core/TransportError"
import * as SshArguments from "@effect-nbd/core/uri/SshArguments"
import { portRefusal } from "@effect-nbd/core/uri/UriModel"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Program } from "./ChildProgram.ts"
import * as CommandConnection from "./CommandConnection.ts"

/**
 * Hosts, users and paths consist of few characters; see `SshArguments` in core.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** A name or an IP address, as ssh takes it. IPv6 without brackets and without a zone. */
  readonly host: string
  /** Who to be there. Default: what ssh is configured to. */
  readonly user?: string | undefined
  /** Of SSH, from 1 to 65535. Default: what ssh is configured to, or 22. */
  readonly port?: number | undefined
  /** The server as seen from the other machine: a port of its own loopback, or a socket. Default: port 10809. */
  readonly target?: SshTarget | undefined
  /** Whether ssh compresses. Default: `false`, unless ssh is configured otherwise. */
  readonly compress?: boolean | undefined
  /** As for a command. Default: 2 seconds. */
  readonly killGrace?: Duration.DurationInput | undefined
}

export { SshArgumentError } from "@effect-nbd/core/TransportError"

/**
 * Runs ssh once for each `open`, as a `CommandTransport`; what ssh complains of is in `ProgramExitedError`. Once our half has
 * ended, as after a handle's goodbye, ssh has 200 ms to end by itself, and is then sent SIGTERM: a server on the other
 * machine that keeps its half open, or a `nc` that does, delays nothing.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Transport["Type"], SshArgumentError> =>
  Effect.suspend(() => {
    const refused = refusalOf(options)
    if (refused !== undefined) return Effect.fail(refused)
    return Effect.succeed({
      target: targetOf(options),
      uri: uriOf(options),
      open: CommandConnection.open("Carrier", () => ssh(options))
    })
  })

/**
 * As `make`, as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Transport, SshArgumentError> =>
  Layer.effect(Transport, make(options))

const nbd: SshTarget = { _tag: "Port", port: 10_809 }

const refusalOf = ({ host, port, target = nbd, user }: Options): SshArgumentError | undefined => {
  const at = target._tag === "Port" ? `${target.port}` : target.path
  const checks: ReadonlyArray<readonly [SshArgumentError["option"], string, string | undefined]> = [
    ["host", host, SshArguments.hostRefusal(host)],
    ["user", `${user}`, user === undefined ? undefined : SshArguments.userRefusal(user)],
    ["port", `${port}`, port === undefined ? undefined : portRefusal(port)],
    ["target", at, target._tag === "Port" ? portRefusal(target.port) : SshArguments.socketRefusal(target.path)]
  ]
  for (const [option, value, reason] of checks) {
    if (reason !== undefined) return new SshArgumentError({ option, value, reason })
  }
  return undefined
}

const ssh = (options: Options): Program => ({
  command: "ssh",
  args: argumentsOf(options),
  env: process.env,
  cwd: undefined,
  uid: undefined,
  gid: undefined,
  stderr: "keep",
  killGraceMillis: Duration.toMillis(options.killGrace ?? "2 seconds")
})

/** As libnbd has it, but that ssh is not told what it would do anyway. */
const argumentsOf = ({ compress, host, port, target = nbd, user }: Options): ReadonlyArray<string> => [
  ...(compress === true ? ["-C"] : []),
  ...(port === undefined ? [] : ["-p", `${port}`]),
  ...(user === undefined ? [] : ["-l", user]),
  "--",
  host,
  "nc",
  ...(target._tag === "Port" ? ["localhost", `${target.port}`] : ["-U", target.path])
]

const targetOf = ({ host, target = nbd }: Options): string =>
  `ssh ${host} ${target._tag === "Port" ? `tcp localhost:${target.port}` : `unix ${target.path}`}`

const uriOf = ({ compress = false, host, port, target = nbd, user }: Options): NbdUri =>
  of({ _tag: "Ssh", host, user, port, target, compress })

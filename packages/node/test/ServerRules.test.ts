/**
 * The rules for servers over real ones: what they do otherwise than the specification asks, as these versions do it
 * (nbdkit 1.32, qemu-nbd 7.2, nbd-server 3.24). A deviation that has gone fails a test too.
 */
import { Conformance } from "@effect-nbd/conformance"
import { describe, expect, it } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Pki, pkiLayer, type PkiMaker } from "./Pki.ts"
import { has, nbdkitUnix, nbdServer, qemuNbd } from "./RealServers.ts"
import { encrypted, qemuX509, requireTls, type Server, trusting } from "./TlsPeers.ts"

const named = { exportName: "disk", unknownExport: "nothing" } as const

interface Known {
  /** What its reason says, by the name of the check. */
  readonly deviations: Readonly<Record<string, RegExp>>
  /** Checks that pass or fail as the time falls. */
  readonly sometimes?: ReadonlyArray<string>
}

const servers: ReadonlyArray<readonly [name: string, program: string, server: Server, Conformance.Target, Known]> = [
  ["nbdkit", "nbdkit", nbdkitUnix("memory", "65M"), { exportName: "", lists: false }, {
    deviations: {
      // nbdkit answers what it cannot place by a simple reply, whatever was agreed on.
      "errors to other structured requests are chunks too": /saw "simple"/
    },
    // Its threads may leave without the replies that are under way.
    sometimes: ["DISC ends the session without a reply, when what was asked before is done"]
  }],
  ["qemu-nbd", "qemu-nbd", qemuNbd(68_157_440, "-x", "disk"), named, {
    deviations: {
      "a write past the end is ENOSPC, and its payload is taken": /expected "ENOSPC", saw "EINVAL \(22\)"/
    },
    // It does not finish the replies that are under way.
    sometimes: ["DISC ends the session without a reply, when what was asked before is done"]
  }],
  ["nbd-server", "nbd-server", nbdServer(68_157_440), named, {
    deviations: {
      "client flags that it cannot know, or has not offered, end the session": /expected "the end of the connection"/,
      "LIST with data is ERR_INVALID, and haggling goes on": /received one to NBD_OPT_LIST|the stream ended/,
      "ABORT is acknowledged, and ends the session": /the stream ended after 0 of 20 bytes/,
      "GO tells what INFO has just told": /exportSize by GO, as INFO told it: expected "0", saw "68157440"/,
      "flags of other commands are EINVAL": /READ with NO_HOLE: expected "EINVAL", saw "success"/,
      "zeroes of more than 64 MiB are written to their end, or refused": /zeroes at 67108864, byte 0: expected 0, saw/
    }
  }]
]

describe("deviations from the rules for servers", () => {
  it.scopedLive.each(servers.filter(([, program]) => has(program)))("of %s are the known ones", (
    [, , server, target, known]
  ) => Effect.provide(judged(target, Conformance.serverChecks(target), known), server), 30_000)

  it.scopedLive.skipIf(!has("qemu-nbd"))("of qemu-nbd on a read-only export are the known ones", () => {
    const target = { ...named, readOnly: true }
    const checks = Conformance.serverChecks(target).filter(isAbout("S-010", "S-013", "S-084"))
    const deviations = { "writing to a read-only export is EPERM": /expected "EPERM", saw "EINVAL \(22\)"/ }
    return Effect.provide(judged(target, checks, { deviations }), qemuNbd(67_108_864, "-r", "-x", "disk"))
  })

  const peers: ReadonlyArray<readonly [string, string, (pki: PkiMaker) => Server, Conformance.Target, Known]> = [
    ["nbdkit", "nbdkit", (pki) => nbdkitUnix(...requireTls(pki), "memory", "64M"), { exportName: "", lists: false }, {
      // It skips the payload on the socket under TLS, and so waits for bytes that have come.
      deviations: { "a write past the end is ENOSPC, and its payload is taken": /an end within 2s/ }
    }],
    ["qemu-nbd", "qemu-nbd", (pki) => qemuNbd(67_108_864, "-x", "disk", ...qemuX509(pki, "no")), named, {
      deviations: {
        "STARTTLS with data is ERR_INVALID, and no TLS follows": /the stream ended after 0 of 20 bytes/,
        "with TLS for all, everything before it but ABORT is ERR_TLS_REQD, and EXPORT_NAME ends the session":
          /answer to ABORT before TLS: expected "NBD_REP_ACK", saw "NBD_REP_ERR_TLS_REQD"/,
        "a write past the end is ENOSPC, and its payload is taken": /expected "ENOSPC", saw "EINVAL \(22\)"/
      }
    }]
  ]

  it.scopedLive.each(peers.filter(([, program]) => has(program) && has("certtool")))(
    "of %s with TLS for all are the known ones",
    ([, , server, target, known]) => {
      const ofTls = isAbout("S-026", "S-027", "S-041", "S-042", "S-043", "S-044", "S-045", "S-046", "S-048", "S-049")
      const checks = Conformance.serverChecks(target)
        .filter((check) => ofTls(check) || check.name.startsWith("a write past the end is ENOSPC"))
      const running = Effect.map(Pki, (pki) => encrypted(server(pki), trusting(pki)))
      return judged(target, checks, known, "2 seconds").pipe(
        Effect.provide(Layer.provide(Layer.unwrapEffect(running), pkiLayer))
      )
    },
    30_000
  )
})

const isAbout = (...wanted: ReadonlyArray<Conformance.RuleId>) => ({ rules }: Conformance.Check): boolean =>
  rules.some((rule) => wanted.includes(rule))

const judged = (
  target: Conformance.Target,
  checks: ReadonlyArray<Conformance.Check>,
  { deviations, sometimes = [] }: Known,
  timeout: Duration.DurationInput = "5 seconds"
) =>
  Effect.map(Conformance.run(target, { checks, timeout }), (report) => {
    const failed = report.checks.flatMap(({ name, verdict }) =>
      verdict._tag === "Failed" && !sometimes.includes(name) ? [[name, verdict.reason]] : []
    )
    expect(Object.fromEntries(failed)).toEqual(
      Object.fromEntries(Object.entries(deviations).map(([name, reason]) => [name, expect.stringMatching(reason)]))
    )
  })

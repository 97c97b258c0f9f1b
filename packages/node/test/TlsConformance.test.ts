/**
 * The conformance suite over TLS: real servers, over TCP, a Unix socket and a command.
 */
import { Conformance } from "@effect-nbd/conformance"
import { describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Pki, pkiLayer, type PkiMaker } from "./Pki.ts"
import { has, nbdkitCommand, nbdkitTcp, nbdkitUnix, qemuNbd } from "./RealServers.ts"
import { encrypted, qemuX509, requirePsk, requireTls, type Server, trusting } from "./TlsPeers.ts"

type Target = Conformance.Target

const anyName = { exportName: "", lists: false }

const psk = (pki: PkiMaker) => ({ mode: "Require", credentials: pki.psk("alice") }) as const

const servers: ReadonlyArray<readonly [string, string, (pki: PkiMaker) => Server, Target]> = [
  [
    "nbdkit over TCP",
    "nbdkit",
    (pki) => encrypted(nbdkitTcp(...requireTls(pki), "memory", "64M"), trusting(pki, { hostname: undefined })),
    anyName
  ],
  [
    "nbdkit over a Unix socket, with a pre-shared key",
    "nbdkit",
    (pki) => encrypted(nbdkitUnix(...requirePsk(pki), "memory", "64M"), psk(pki)),
    anyName
  ],
  [
    "nbdkit as a command",
    "nbdkit",
    (pki) => encrypted(nbdkitCommand(...requireTls(pki), "memory", "64M"), trusting(pki)),
    { ...anyName, keepsContent: false }
  ],
  [
    "qemu-nbd over a Unix socket, under TLS 1.2",
    "qemu-nbd",
    (pki) => encrypted(qemuNbd(67_108_864, ...qemuX509(pki, "no")), trusting(pki, { maximumVersion: "TLSv1.2" })),
    anyName
  ]
]

describe.each(servers)("TLS with %s", (_name, program, server, target) => {
  describe.skipIf(!has(program) || !has("certtool"))("and its certificates", () => {
    const running = Layer.unwrapEffect(Effect.map(Pki, server)).pipe(Layer.provide(pkiLayer))
    layer(running, { excludeTestServices: true })((it) => {
      for (const { name, run } of Conformance.checks(target)) {
        it.scoped(name, () => run)
      }
    })
  })
})

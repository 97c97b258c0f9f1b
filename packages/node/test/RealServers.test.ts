/**
 * The conformance suite over real servers and every transport. A server that is not installed is skipped by name.
 */
import { Conformance } from "@effect-nbd/conformance"
import { Handle, type Transport } from "@effect-nbd/core"
import { describe, expect, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import {
  has,
  nbdkitActivated,
  nbdkitCommand,
  nbdkitTcp,
  nbdkitUnix,
  nbdServer,
  nbdServerCommand,
  qcow2Nbd,
  qemuActivated,
  qemuNbd,
  type ServerFailed
} from "./RealServers.ts"

type Server = readonly [
  name: string,
  program: string,
  layer: Layer.Layer<Transport.Transport, ServerFailed>,
  target: Conformance.Target
]

const anyName = { exportName: "", lists: false } as const

const servers: ReadonlyArray<Server> = [
  ["nbdkit over a Unix socket", "nbdkit", nbdkitUnix("memory", "64M"), anyName],
  ["nbdkit over TCP", "nbdkit", nbdkitTcp("memory", "64M"), anyName],
  ["nbdkit as a command", "nbdkit", nbdkitCommand("memory", "64M"), { ...anyName, keepsContent: false }],
  ["nbdkit with socket activation", "nbdkit", nbdkitActivated("memory", "64M"), { ...anyName, keepsContent: false }],
  [
    "nbdkit with block size constraints",
    "nbdkit",
    nbdkitUnix(
      "--filter=blocksize-policy",
      "memory",
      "64M",
      "blocksize-minimum=512",
      "blocksize-preferred=4096",
      "blocksize-maximum=1M",
      "blocksize-error-policy=error"
    ),
    anyName
  ],
  ["nbdkit that delays", "nbdkit", nbdkitUnix("--filter=delay", "memory", "64M", "rdelay=2ms", "wdelay=1ms"), anyName],
  ["nbdkit without fixed newstyle", "nbdkit", nbdkitUnix("--mask-handshake=0", "memory", "64M"), {
    ...anyName,
    protocol: "newstyle"
  }],
  ["nbdkit that pads the export name's answer", "nbdkit", nbdkitUnix("--mask-handshake=1", "memory", "64M"), anyName],
  // nbdkit 1.32 advertises every command to an oldstyle client and then knows none but read and write.
  ["nbdkit, oldstyle", "nbdkit", nbdkitUnix("-o", "memory", "64M"), {
    ...anyName,
    protocol: "oldstyle",
    refusesAdvertised: true
  }],
  ["qemu-nbd with a raw image", "qemu-nbd", qemuNbd(67_108_864, "-x", "disk", "-D", "a disk"), {
    exportName: "disk",
    unknownExport: "nothing"
  }],
  ["qemu-nbd with socket activation", "qemu-nbd", qemuActivated(67_108_864, "-x", "disk"), {
    exportName: "disk",
    unknownExport: "nothing"
  }],
  ["qemu-nbd with a qcow2 image", "qemu-nbd", qcow2Nbd("64M"), { exportName: "", unknownExport: "nothing" }],
  ["nbd-server", "nbd-server", nbdServer(67_108_864), { exportName: "disk", unknownExport: "nothing" }],
  ["nbd-server as a command", "nbd-server", nbdServerCommand(67_108_864), { exportName: "", lists: false }]
]

for (const [name, program, server, target] of servers) {
  describe.skipIf(!has(program))(name, () => {
    // One server for all of them, as users have it: each check connects for itself.
    layer(server, { excludeTestServices: true })((it) => {
      for (const { name, run } of Conformance.checks(target)) it.scoped(name, () => run)
    })
  })
}

describe("qemu-nbd with socket activation", () => {
  // It locks its image: a second one could not open it.
  it.scopedLive.skipIf(!has("qemu-nbd"))("serves all connections of one transport", () =>
    Effect.gen(function*() {
      const connect = Handle.connect({ exportName: "" })
      const [first, second] = yield* Effect.all([connect, connect], { concurrency: 2 })
      yield* first.write(4096n, new Uint8Array(512).fill(7))
      yield* first.flush
      expect(yield* second.read(4096n, 512)).toStrictEqual(new Uint8Array(512).fill(7))
    }).pipe(Effect.provide(qemuActivated(1_048_576))))
})

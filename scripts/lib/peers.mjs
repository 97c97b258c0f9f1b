/**
 * The real servers and clients that tests run against: which there are, where they come from, and which are missing.
 */
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"

/** Each program, and the Debian package it is in. */
export const peers = [
  { program: "nbdkit", debian: "nbdkit" },
  { program: "qemu-nbd", debian: "qemu-utils" },
  { program: "nbd-server", debian: "nbd-server" },
  { program: "nbd-client", debian: "nbd-client" },
  { program: "qemu-img", debian: "qemu-utils" },
  { program: "qemu-io", debian: "qemu-utils" },
  { program: "nbdinfo", debian: "libnbd-bin" },
  { program: "nbdcopy", debian: "libnbd-bin" },
  { program: "nbdsh", debian: "python3-libnbd" },
  { program: "fio", debian: "fio" },
  { program: "certtool", debian: "gnutls-bin" },
  { program: "strace", debian: "strace" }
]

// nbd-client lies in /usr/sbin, which the PATH of most users leaves out.
export const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"]

export const isInstalled = (program) => folders.some((folder) => existsSync(join(folder, program)))

export const missingPeers = () => peers.filter(({ program }) => !isInstalled(program))

/** The one client that is an npm package. The benchmark has it, apart from everything else, and fixes its version. */
export const npmPeer = { program: "@vates/nbd-client", folder: "benchmarks" }

export const hasNpmPeer = (root) => existsSync(join(root, npmPeer.folder, "node_modules", npmPeer.program))

/** Where the peers of a newer Debian are unpacked; its program `in` runs a command among them. */
export const newerFolder = (root, suite) => join(root, "build", "peers", suite)

/** The newer Debian whose peers the tests know. */
export const newerSuite = "trixie"

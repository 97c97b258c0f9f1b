/**
 * `npm run peers`: installs what the tests talk to, as root on Debian, and @vates/nbd-client from npm.
 * `npm run peers -- --newer [SUITE]`: unpacks the peers of a newer Debian into build/peers/SUITE, beside those that are
 * installed.
 */
import { spawnSync } from "node:child_process"
import { hasNpmPeer, isInstalled, missingPeers, newerFolder, newerSuite, npmPeer } from "./lib/peers.mjs"
import { isMain, repositoryRoot } from "./lib/sources.mjs"
import { must, patient, unpack } from "./lib/unpack.mjs"

const installDebian = () => {
  const packages = [...new Set(missingPeers().map(({ debian }) => debian))]
  if (packages.length === 0) return
  if (process.getuid?.() !== 0 || !isInstalled("apt-get")) {
    throw new Error(`missing: ${packages.join(", ")}. They are installed as root on Debian; elsewhere by other means`)
  }
  console.log(`installing ${packages.join(", ")}`)
  // One unreachable source makes the update fail, but the packages may come from another source: so install anyway.
  spawnSync("apt-get", [...patient, "update"], { stdio: "ignore", timeout: 600_000 })
  must("apt-get", [...patient, "install", "--yes", "--no-install-recommends", ...packages])
  const still = missingPeers().map(({ program }) => program)
  if (still.length > 0) throw new Error(`still missing: ${still.join(", ")}`)
}

const installNpm = (root) => {
  if (hasNpmPeer(root)) return
  console.log(`installing ${npmPeer.program}`)
  must("npm", ["ci", "--prefix", npmPeer.folder, "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: root })
}

/** The packages to unpack: the peers, and the packages that their shell and Python plugins need. */
const newerPackages = [
  "nbdkit",
  "nbd-server",
  "nbd-client",
  "qemu-utils",
  "libnbd-bin",
  "python3-libnbd",
  "bash",
  "coreutils",
  "dash",
  "file"
]

const unpackNewer = (root, suite) => {
  console.log(`unpacking the peers of Debian's ${suite}`)
  unpack(newerFolder(root, suite), suite, newerPackages)
}

const main = (root, [option, suite = newerSuite, ...rest]) => {
  if (rest.length > 0 || (option !== undefined && option !== "--newer")) {
    console.error("usage: npm run peers [-- --newer [SUITE]]")
    return 2
  }
  try {
    if (option === "--newer") unpackNewer(root, suite)
    else {
      installDebian()
      installNpm(root)
    }
    return 0
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error))
    return 1
  }
}

if (isMain(import.meta)) process.exitCode = main(repositoryRoot, process.argv.slice(2))

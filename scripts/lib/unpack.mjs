/**
 * Debian packages of a suite, unpacked with all that they depend on into a folder beside those that are installed. The
 * system itself is not changed. apt verifies what is downloaded.
 */
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** Runs a program, and throws what it said when it fails. */
export const must = (command, args, options = {}) => {
  const { error, status, stderr, stdout } = spawnSync(command, args, {
    encoding: "utf8",
    maxBuffer: 64_000_000,
    timeout: 600_000,
    ...options,
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
  })
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${(stderr || error?.message || "failed").trim()}`)
  return stdout
}

/** Options of an apt-get that waits for its lock and tries again. */
export const patient = ["-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3"]

/** The mirror of Debian that this system uses. */
const mirror = () => {
  const targets = must("apt-get", ["indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(RELEASE)"]).split("\n")
  const found = targets.map((line) => line.split(" ")).find(([uri, origin, release]) =>
    uri !== undefined && origin === "Debian" && !release.includes("security") && !release.includes("-")
  )
  if (found === undefined) throw new Error("apt-get knows no mirror of Debian: run apt-get update first")
  return found[0]
}

/**
 * Puts the newer /usr over the system's for one command, in a mount namespace of its own: programs find their plugins
 * and libraries at the paths that they were built for, and share files, sockets and ports with all other programs. The
 * process stays the same, so its id and signals are those of the command.
 */
const runner = `#!/bin/sh
exec unshare --mount sh -c 'mount --bind "$0/usr" /usr && exec "$@"' "$(dirname "$(readlink -f "$0")")/root" "$@"
`

/** Unpacks packages into `folder/root`, and writes `folder/in`, which runs a command among them. */
export const unpack = (folder, suite, packages) => {
  if (existsSync(join(folder, "in"))) return
  const work = `${folder}.new`
  rmSync(work, { recursive: true, force: true })
  for (const name of ["root", "lists/partial", "archives/partial"]) mkdirSync(join(work, name), { recursive: true })
  writeFileSync(join(work, "status"), "")
  writeFileSync(
    join(work, "sources.list"),
    `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror()} ${suite} main\n`
  )
  // An apt of its own: no package counts as installed there, so all that is needed comes along, the C library too.
  const settings = {
    "Dir::State": work,
    "Dir::State::lists": join(work, "lists"),
    "Dir::State::status": join(work, "status"),
    "Dir::Cache": work,
    "Dir::Cache::archives": join(work, "archives"),
    "Dir::Etc::sourcelist": join(work, "sources.list"),
    "Dir::Etc::sourceparts": "-",
    "APT::Sandbox::User": "root",
    "Acquire::Languages": "none"
  }
  const own = [...patient, ...Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`])]
  must("apt-get", [...own, "update"])
  must("apt-get", [...own, "install", "--yes", "--no-install-recommends", "--download-only", ...packages])
  const archives = join(work, "archives")
  for (const name of readdirSync(archives).filter((name) => name.endsWith(".deb"))) {
    must("dpkg-deb", ["--extract", join(archives, name), join(work, "root")])
  }
  for (const name of readdirSync(work).filter((name) => name !== "root")) {
    rmSync(join(work, name), { recursive: true, force: true })
  }
  writeFileSync(join(work, "in"), runner)
  chmodSync(join(work, "in"), 0o755)
  rmSync(folder, { recursive: true, force: true })
  renameSync(work, folder)
}

/**
 * `npm run guest`: boots a small Linux (Debian's kernel and busybox, in QEMU without KVM), whose own client attaches an
 * export of `effect-nbd serve`. It makes a file system, writes, verifies what it reads back, trims and detaches. Then the
 * disk is checked from outside: the file system is sound, and holds the bytes that the guest wrote.
 *
 * The guest reaches the server by QEMU's user network; nothing leaves the machine. All that it needs is unpacked into
 * build/peers/guest first, which takes a minute.
 */
import { spawn } from "node:child_process"
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { newerSuite } from "./lib/peers.mjs"
import { isMain, repositoryRoot } from "./lib/sources.mjs"
import { must, unpack } from "./lib/unpack.mjs"

const packages = [
  "qemu-system-x86",
  "linux-image-amd64",
  "busybox-static",
  "nbd-client",
  "e2fsprogs",
  "kmod",
  "xz-utils",
  "cpio",
  "libc-bin",
  "bash",
  "coreutils",
  "dash"
]

/**
 * The modules that the guest's kernel has to load, in this order; the modules that they need are loaded before them.
 */
const modules = ["virtio_pci", "virtio_net", "nbd", "ext4"]

/** Programs of the guest that are not part of busybox. */
const programs = ["/usr/sbin/nbd-client", "/usr/sbin/mkfs.ext4"]

const bytes = 268_435_456
const fileBytes = 67_108_864

/** The guest's script. The host reads each line of its output that begins with `guest:`. */
const init = (port) =>
  `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /mnt /usr/bin /usr/sbin /sbin
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
fail() { echo "guest: failed: $1"; dmesg | tail -20; poweroff -f; }
for module in /modules/*; do insmod $module || fail "insmod $module"; done
ifconfig lo up; ifconfig eth0 10.0.2.15 up || fail network
/usr/sbin/nbd-client 10.0.2.2 ${port} /dev/nbd0 -N disk -C 2 || fail attach
echo "guest: size $(blockdev --getsize64 /dev/nbd0)"
/usr/sbin/mkfs.ext4 -q -F /dev/nbd0 || fail mkfs
mount -t ext4 -o discard /dev/nbd0 /mnt || fail mount
dd if=/dev/urandom of=/mnt/kept bs=1M count=${fileBytes / 1_048_576} 2>/dev/null || fail write
dd if=/dev/zero of=/mnt/gone bs=1M count=32 2>/dev/null || fail zeroes
sync; rm /mnt/gone; sync
echo "guest: wrote $(sha256sum /mnt/kept | cut -d' ' -f1)"
umount /mnt || fail umount
echo 3 > /proc/sys/vm/drop_caches
mount -t ext4 -o ro /dev/nbd0 /mnt || fail remount
echo "guest: read $(sha256sum /mnt/kept | cut -d' ' -f1)"
umount /mnt || fail "second umount"
/usr/sbin/nbd-client -d /dev/nbd0 || fail detach
echo "guest: done"
poweroff -f
`

/** The folder that becomes the guest's memory disk. */
const fill = (peers, folder, port) => {
  const root = join(peers, "root")
  const inside = (...words) => must(join(peers, "in"), words)
  for (const name of ["bin", "modules"]) mkdirSync(join(folder, name))
  cpSync(join(root, "usr", "bin", "busybox"), join(folder, "bin", "busybox"))
  const libraries = programs.flatMap((program) =>
    [...inside("ldd", program).matchAll(/(\/[^ ]+) \(0x/g)].map(([, path]) => path)
  )
  for (const path of new Set([...programs, ...libraries])) {
    mkdirSync(join(folder, dirname(path)), { recursive: true })
    // Below /usr lies the unpacked system's own; /lib and /lib64 are links into it.
    const real = path.replace(/^\/(lib|lib64)\//, "/usr/$1/")
    cpSync(join(root, real), join(folder, path), { dereference: true })
  }
  const [version] = readdirSync(join(root, "usr", "lib", "modules"))
  // depmod and modprobe look below /lib.
  rmSync(join(root, "lib"), { recursive: true, force: true })
  symlinkSync("usr/lib", join(root, "lib"))
  inside("depmod", "-b", root, version)
  const needed = modules.flatMap((name) =>
    [...inside("modprobe", "-d", root, "-S", version, "--show-depends", name).matchAll(/^insmod (\S+)/gm)].map(
      ([, path]) => path
    )
  )
  for (const [index, path] of [...new Set(needed)].entries()) {
    const name = `${String(index).padStart(3, "0")}.ko`
    cpSync(path, join(folder, "modules", `${name}.xz`))
    inside("xz", "--decompress", join(folder, "modules", `${name}.xz`))
  }
  writeFileSync(join(folder, "init"), init(port))
  chmodSync(join(folder, "init"), 0o755)
  return join(root, "boot", `vmlinuz-${version}`)
}

/** The first line that a program prints, and how to end it. */
const startServer = (root, disk) =>
  new Promise((resolve, reject) => {
    const words = ["serve", "--host=127.0.0.1", "--port=0", `--export=disk,file=${disk}`]
    const child = spawn(process.execPath, [join(root, "packages", "cli", "bin", "effect-nbd.js"), ...words], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    let said = ""
    child.stdout.on("data", (text) => {
      said += text
      const port = /:(\d+)\//.exec(said)?.[1]
      if (port === undefined) return
      const ended = new Promise((done) => child.once("exit", done))
      resolve({ port, stop: () => (child.kill("SIGTERM"), ended) })
    })
    child.once("exit", () => reject(new Error(`serve ended before it listened: ${said}`)))
  })

/** Boots the guest, and returns its output. */
const boot = (peers, kernel, disk) =>
  new Promise((resolve, reject) => {
    const machine = [
      "-accel",
      "tcg",
      "-cpu",
      "max",
      "-m",
      "512",
      "-display",
      "none",
      "-serial",
      "stdio",
      "-monitor",
      "none",
      "-no-reboot"
    ]
    const network = ["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net"]
    const system = ["-kernel", kernel, "-initrd", disk, "-append", "console=ttyS0 quiet panic=-1"]
    const child = spawn(join(peers, "in"), ["qemu-system-x86_64", ...machine, ...network, ...system], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    let said = ""
    const limit = setTimeout(() => child.kill("SIGKILL"), 600_000)
    child.stdout.on("data", (text) => {
      said += text
      process.stdout.write(text)
    })
    child.once("error", reject)
    child.once("close", () => {
      clearTimeout(limit)
      resolve(said)
    })
  })

const told = (said, what) => new RegExp(`^guest: ${what} ?(.*?)\\r?$`, "m").exec(said)?.[1]

const main = async (root) => {
  const peers = join(root, "build", "peers", "guest")
  unpack(peers, newerSuite, packages)
  const work = mkdtempSync(join(tmpdir(), "effect-nbd-guest-"))
  const disk = join(work, "disk.img")
  try {
    writeFileSync(disk, "")
    must("truncate", ["-s", `${bytes}`, disk])
    const server = await startServer(root, disk)
    let said
    try {
      const folder = join(work, "initrd")
      mkdirSync(folder)
      const kernel = fill(peers, folder, server.port)
      const initrd = join(work, "initrd.cpio")
      const names = readdirSync(folder, { recursive: true }).join("\n")
      must(join(peers, "in"), ["cpio", "--quiet", "-o", "-H", "newc", "-F", initrd], { cwd: folder, input: names })
      said = await boot(peers, kernel, initrd)
    } finally {
      await server.stop()
    }
    const checks = {
      "the guest sees the size of the export": told(said, "size") === `${bytes}`,
      "the guest reads what it wrote": told(said, "wrote") !== undefined && told(said, "wrote") === told(said, "read"),
      "the guest detaches": told(said, "done") !== undefined,
      "the file system is sound": isSound(peers, disk),
      "the file on the disk holds what the guest wrote": told(said, "wrote") !== undefined &&
        digestOf(peers, disk) === told(said, "wrote")
    }
    for (const [check, passed] of Object.entries(checks)) console.log(`${passed ? "ok" : "FAILED"}: ${check}`)
    return Object.values(checks).every(Boolean) ? 0 : 1
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

const isSound = (peers, disk) => {
  try {
    must(join(peers, "in"), ["e2fsck", "-fn", disk])
    return true
  } catch (error) {
    console.error(error.message)
    return false
  }
}

/** The digest of the file as the disk holds it; `undefined` where it cannot be read. */
const digestOf = (peers, disk) => {
  const copy = `${disk}.kept`
  try {
    must(join(peers, "in"), ["debugfs", "-R", `dump /kept ${copy}`, disk])
    return must("sha256sum", [copy]).split(" ")[0]
  } catch (error) {
    console.error(error.message)
    return undefined
  }
}

if (isMain(import.meta)) process.exitCode = await main(repositoryRoot)

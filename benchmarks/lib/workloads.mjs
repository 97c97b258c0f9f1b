/**
 * What is measured, as data. A new workload is a new row; a client says itself which rows it can do.
 *
 * `isAim`: the aims are about it, so it gets more rounds. `clients` are those that say something about it. `libnbd` and
 * `floor` are the clients that ratios are to. `warmUp` and `measured` end by `seconds` or by `operations`. With `quick`
 * everything is small, and an `isVariant`, which other rows cover all the code of, is left out.
 */
const kibibyte = 1024
const mebibyte = 1_048_576
const gibibyte = 1_073_741_824
const tebibyte = 1_099_511_627_776

const usual = ["read", "read-into", "read-borrowed", "write", "floor", "fio", "nbdcopy"]
const everyone = [...usual, "service", "vates", "qemu-img"]

const inWords = { unix: "Unix socket", tcp: "TCP", tls: "TLS over TCP", command: "stdin and stdout of a command" }

/** Served from memory. A command's server begins with every client, so that it serves a file, in memory as well. */
const serverOf = (transport, bytes) =>
  transport === "command"
    ? { transport, bytes, disk: { kind: "dense", bytes } }
    : { transport, bytes, plugin: "memory", isFilled: true }

const random =
  ({ quick }) =>
  (direction, depth, { name, notes = [], server = {}, isAim = false, isVariant = false, clients = usual }) => {
    const { bytes = (quick ? 32 : 1024) * mebibyte, transport = "unix" } = server
    const words = [`${depth} in flight`, inWords[transport], ...notes]
    return {
      name: name ?? `random-${direction}-${depth}`,
      title: `4 KiB random ${direction}s, ${words.join(", ")}`,
      kind: "requests",
      unit: "thousand/s",
      direction,
      order: "random",
      depth,
      blockBytes: 4096,
      exportBytes: bytes,
      server: { ...serverOf(transport, bytes), ...server },
      libnbd: "fio",
      floor: "floor",
      clients,
      isAim,
      isVariant,
      // V8 has to have compiled what is measured, however slow the machine is at that moment.
      warmUp: quick ? { seconds: 0.05 } : { seconds: 0.3, least: 10_000 },
      measured: quick ? { seconds: 0.1 } : { seconds: isAim ? 1 : 0.7, least: 50 * depth }
    }
  }

/** One pass over the export, so that nbdcopy, which cannot do anything else, does the same work. */
const sequential =
  ({ quick }) =>
  (direction, block, { name, notes = [], server = {}, isAim = false, isVariant = false, clients = usual }) => {
    const { transport = "unix" } = server
    const bytes = quick ? 32 * mebibyte : transport === "tls" ? gibibyte / 2 : isAim ? 2 * gibibyte : gibibyte
    const words = ["16 in flight", inWords[transport], ...notes]
    const [blockBytes, shown] = blocks[block]
    return {
      name: name ?? `sequential-${direction}-${block}`,
      title: `${shown} sequential ${direction}s, ${words.join(", ")}`,
      kind: "requests",
      unit: "GB/s",
      direction,
      order: "sequential",
      depth: 16,
      blockBytes,
      exportBytes: bytes,
      server: { ...serverOf(transport, bytes), ...server },
      // What nbdcopy writes.
      ...(direction === "write" && { content: { kind: "dense", bytes } }),
      libnbd: "nbdcopy",
      floor: "floor",
      clients,
      isAim,
      isVariant,
      // Another pass: with a thousand requests, V8 went on compiling through half of what was measured.
      warmUp: quick ? { seconds: 0.05 } : { seconds: 0.3, least: Math.max(1000, bytes / blockBytes) },
      measured: { operations: bytes / blockBytes }
    }
  }

const blocks = {
  "64k": [64 * kibibyte, "64 KiB"],
  "256k": [256 * kibibyte, "256 KiB"],
  "2m": [2 * mebibyte, "2 MiB"]
}

const connecting = ({ quick }) => (transport) => ({
  name: `connect-${transport}`,
  title: `Connect, go, disconnect, one after the other, ${inWords[transport]}`,
  kind: "connect",
  unit: "/s",
  rare: true,
  // nbdkit starts its threads for each connection.
  server: { transport, bytes: mebibyte, plugin: "memory", threads: 1 },
  libnbd: undefined,
  floor: "floor",
  clients: ["ours", "floor", "vates"],
  isAim: false,
  warmUp: { seconds: quick ? 0.05 : 0.3 },
  measured: { seconds: quick ? 0.1 : 0.8 }
})

const mapping = ({ quick }) => (name, words, bytes, isVariant = false) => ({
  name,
  title: `The map of a disk with ${words} extents`,
  kind: "extents",
  unit: "million/s",
  rare: true,
  server: { transport: "unix", bytes, plugin: "sparse-random", seed: 1 },
  libnbd: "nbdinfo",
  floor: undefined,
  clients: ["ours", "nbdinfo"],
  isAim: true,
  isVariant,
  warmUp: { seconds: quick ? 0.05 : 0.3 },
  measured: { seconds: quick ? 0.1 : 1 }
})

const ends = { null: ["nbd", "null"], file: ["nbd", "file"], "from-file": ["file", "nbd"], nbd: ["nbd", "nbd"] }

const copying = (words, disk) => (name) => {
  const [from, to] = ends[name]
  return {
    name: `copy-${disk.kind}-${name}`,
    title: `copy, ${words}, ${from} → ${to}`,
    kind: "copy",
    unit: disk.kind === "dense" ? "GB/s" : "s",
    blockBytes: disk.bytes,
    from,
    to,
    disk,
    libnbd: "nbdcopy",
    floor: undefined,
    clients: ["effect-nbd", "nbdcopy", "qemu-img"],
    isAim: true,
    // nbdcopy takes ten times as long to look for holes in a file.
    rounds: from === "file" && disk.kind === "sparse" ? 2 : 3
  }
}

const copies = ({ quick }) => {
  const names = Object.keys(ends)
  return quick
    ? [
      ...names.map(copying("16 MiB of data", { kind: "dense", bytes: 16 * mebibyte })),
      ...names.map(copying("256 MiB with 8 MiB of data", { kind: "sparse", bytes: 256 * mebibyte, chunks: 8 }))
    ]
    : [
      ...names.map(copying("4 GiB of data", { kind: "dense", bytes: 4 * gibibyte })),
      ...names.map(copying("1 TiB with 1 GiB of data", { kind: "sparse", bytes: tebibyte, chunks: 1024 }))
    ]
}

const loading = {
  name: "import",
  title: "Loading modules",
  kind: "import",
  unit: "ms",
  libnbd: undefined,
  floor: undefined,
  clients: ["effect", "core", "effect-core"],
  isAim: true
}

export const workloads = (size) => {
  const [requests, pass, connect, map] = [random(size), sequential(size), connecting(size), mapping(size)]
  const variant = { isVariant: true }
  const aim = { isAim: true, clients: everyone }
  const over = (transport) => ({ server: { transport } })
  const simple = { server: { replies: "simple" }, notes: ["simple replies"] }
  const away = { server: { delayMillis: 2 }, notes: ["2 ms away"] }
  const empty = (bytes, words) => ({
    server: { bytes, isFilled: false },
    notes: [`${words} export`],
    clients: ["read-into", "floor"],
    isAim: true,
    isVariant: bytes === gibibyte
  })
  return [
    requests("read", 1, { ...aim, ...variant }),
    requests("read", 16, variant),
    requests("read", 64, aim),
    requests("read", 256, variant),
    requests("read", 1024, { isAim: true, isVariant: true, clients: ["read", "read-into", "read-borrowed", "floor"] }),
    requests("write", 1, variant),
    requests("write", 16, variant),
    requests("write", 64, aim),
    requests("write", 256, variant),
    requests("read", 64, { name: "random-read-64-tcp", ...over("tcp"), ...variant }),
    requests("read", 64, { name: "random-read-64-command", ...over("command") }),
    requests("read", 64, { name: "random-read-64-tls", ...over("tls"), ...variant }),
    requests("read", 64, { name: "random-read-64-simple", ...simple }),
    requests("read", 64, { name: "random-read-64-away", ...away, clients: [...usual, "vates"] }),
    requests("write", 64, { name: "random-write-64-away", ...away, ...variant }),
    requests("read", 64, { name: "random-read-64-gib", ...empty(gibibyte, "1 GiB") }),
    requests("read", 64, { name: "random-read-64-tib", ...empty(tebibyte, "1 TiB") }),
    pass("read", "64k", variant),
    pass("read", "256k", aim),
    pass("read", "2m", variant),
    pass("write", "64k", variant),
    pass("write", "256k", aim),
    pass("write", "2m", variant),
    pass("read", "256k", {
      name: "sequential-read-256k-tcp",
      ...over("tcp"),
      ...variant,
      clients: [...usual, "vates"]
    }),
    pass("write", "256k", { name: "sequential-write-256k-tcp", ...over("tcp"), ...variant }),
    pass("read", "256k", { name: "sequential-read-256k-command", ...over("command"), ...variant }),
    pass("read", "256k", { name: "sequential-read-256k-tls", ...over("tls"), isAim: true }),
    pass("write", "256k", { name: "sequential-write-256k-tls", ...over("tls"), isAim: true }),
    pass("read", "256k", { name: "sequential-read-256k-simple", ...simple, ...variant }),
    connect("unix"),
    connect("tcp"),
    connect("tls"),
    map("extents-thousand", "a thousand", 64 * mebibyte),
    map("extents-million", "a million", (size.quick ? 1 : 64) * gibibyte, true),
    ...copies(size),
    loading
  ]
}

/**
 * Captures goldens: starts real servers, speaks fixed scripts to them, and writes down every byte of both directions.
 *
 * Run by hand, `npm run capture [NAME…]`, where nbdkit, qemu-nbd and nbd-server are installed; tests and CI only read
 * what it wrote. It reads and writes the protocol by itself, with nothing of the library: otherwise a mistake made in the
 * library would be in its goldens too. What it writes are transcripts as the library prints them, word for word: a test
 * compares what either makes of the bytes.
 */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"

const target = join(dirname(fileURLToPath(import.meta.url)), "../packages/core/test/fixtures/goldens")

const flagNames = {
  handshake: ["FIXED_NEWSTYLE", "NO_ZEROES"],
  transmission: ["HAS_FLAGS", "READ_ONLY", "SEND_FLUSH", "SEND_FUA", "ROTATIONAL", "SEND_TRIM", "SEND_WRITE_ZEROES"]
    .concat(["SEND_DF", "CAN_MULTI_CONN", "SEND_RESIZE", "SEND_CACHE", "SEND_FAST_ZERO", "BLOCK_STATUS_PAYLOAD"]),
  command: ["FUA", "NO_HOLE", "DF", "REQ_ONE", "FAST_ZERO", "PAYLOAD_LEN"],
  chunk: ["DONE"]
}
const options = { EXPORT_NAME: 1, ABORT: 2, LIST: 3, INFO: 6, GO: 7, STRUCTURED_REPLY: 8, LIST_META_CONTEXT: 9 }
Object.assign(options, { SET_META_CONTEXT: 10, EXTENDED_HEADERS: 11 })
const infos = { EXPORT: 0, NAME: 1, DESCRIPTION: 2, BLOCK_SIZE: 3 }
const commands = { READ: 0, WRITE: 1, DISC: 2, FLUSH: 3, TRIM: 4, CACHE: 5, WRITE_ZEROES: 6, BLOCK_STATUS: 7 }
const chunks = { NONE: 0, OFFSET_DATA: 1, OFFSET_HOLE: 2, BLOCK_STATUS: 5, ERROR: 0x8001, ERROR_OFFSET: 0x8002 }
const errors = { EPERM: 1, EIO: 5, ENOMEM: 12, EINVAL: 22, ENOSPC: 28, EOVERFLOW: 75, ENOTSUP: 95, ESHUTDOWN: 108 }
const replies = { ACK: 1, SERVER: 2, INFO: 3, META_CONTEXT: 4 }
for (
  const [index, name] of ["UNSUP", "POLICY", "INVALID", "PLATFORM", "TLS_REQD", "UNKNOWN", "SHUTDOWN"]
    .concat(["BLOCK_SIZE_REQD", "TOO_BIG"]).entries()
) replies[`ERR_${name}`] = 0x8000_0001 + index

const nameOf = (table, value) => Object.keys(table).find((name) => table[name] === value) ?? "unknown"
const setFlags = (names, value) => names.filter((_, bit) => value & (1 << bit)).join(" ")
const hexOf = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ")

/** One message, its bytes and what they mean, put down field by field. */
class Message {
  lines = []
  parts = []
  constructor(from, kind) {
    this.from = from
    this.kind = kind
  }
  /** An unsigned number of 2, 4 or 8 bytes. */
  number(width, field, value, remark = "", radix = 10) {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64BE(BigInt(value))
    const shown = radix === 16 ? `0x${BigInt(value).toString(16).padStart(2 * width, "0")}` : String(value)
    return this.put(bytes.subarray(8 - width), `${field}: ${shown}${remark === "" ? "" : ` ${remark}`}`)
  }
  text(field, bytes) {
    return bytes.length === 0 ? this : this.put(bytes, `${field}: ${JSON.stringify(bytes.toString("utf8"))}`)
  }
  put(bytes, note) {
    this.parts.push(bytes)
    // 33 equal bytes or more are a line by themselves; of the others a line has 16.
    const runs = bytes.toString("latin1").match(/([^])\1{32,}|(?:(?!([^])\2{32})[^])+/g) ?? []
    const lines = runs.flatMap((run) => {
      const part = Buffer.from(run, "latin1")
      if (/^([^])\1{32,}$/.test(run)) return [`${hexOf(part.subarray(0, 1))}*${run.length}`]
      return Array.from({ length: Math.ceil(run.length / 16) }, (_, at) => hexOf(part.subarray(16 * at, 16 * at + 16)))
    })
    this.lines.push(...lines.map((line, index) => index === 0 ? `  ${line.padEnd(23)} | ${note}` : `  ${line}`))
    return this
  }
  get bytes() {
    return Buffer.concat(this.parts)
  }
  get printed() {
    return [`${this.from}: ${this.kind}`, ...this.lines].join("\n")
  }
}

/** A conversation under way: what was said so far, and the bytes that were not read yet. */
class Conversation {
  blocks = []
  structured = false
  cookie = 0n
  #socket
  #received = []
  #over = false
  #stirred = () => {}

  constructor(socket) {
    this.#socket = socket
    socket.on("data", (bytes) => (this.#received.push(bytes), this.#stirred()))
    for (const event of ["end", "close", "error"]) socket.on(event, () => (this.#over = true, this.#stirred()))
  }

  say(message) {
    this.blocks.push(message.printed)
    if (message.from === "client") this.#socket.write(message.bytes)
  }

  async hear(count) {
    const deadline = Date.now() + 10_000
    let all = Buffer.concat(this.#received)
    while (all.length < count) {
      if (this.#over || Date.now() > deadline) throw new Error(`${all.length} of ${count} bytes`)
      await Promise.race([new Promise((resolve) => (this.#stirred = resolve)), pause(1000)])
      all = Buffer.concat(this.#received)
    }
    this.#received = [all.subarray(count)]
    return all.subarray(0, count)
  }

  /** The server has closed in place of an answer. */
  async #isOver() {
    while (!this.#over && Buffer.concat(this.#received).length === 0) await pause(10)
    return Buffer.concat(this.#received).length === 0
  }

  /** The server closes, and has said nothing more. */
  async hearEnd(isOurs) {
    if (isOurs) this.#socket.end()
    const deadline = Date.now() + 10_000
    while (!this.#over && Date.now() < deadline) await pause(10)
    if (!this.#over || Buffer.concat(this.#received).length > 0) throw new Error("no end")
    this.blocks.push(isOurs ? "client ends\n\nserver ends" : "server ends")
  }

  async greeting(clientFlags) {
    const first = await this.hear(16)
    const isOld = first.readBigUInt64BE(8) === 0x0000420281861253n
    const message = new Message("server", isOld ? "oldstyle greeting" : "newstyle greeting")
      .put(first.subarray(0, 8), "magic: NBDMAGIC")
      .put(first.subarray(8), isOld ? "magic: cliserv_magic" : "magic: IHAVEOPT")
    if (isOld) {
      const rest = await this.hear(136)
      const flags = rest.readUInt16BE(10)
      message.number(8, "export size", rest.readBigUInt64BE(0)).number(
        2,
        "handshake flags",
        rest.readUInt16BE(8),
        "",
        16
      )
        .number(2, "transmission flags", flags, setFlags(flagNames.transmission, flags), 16)
        .put(rest.subarray(12), "padding")
      return this.say(message)
    }
    const flags = (await this.hear(2)).readUInt16BE(0)
    this.say(message.number(2, "handshake flags", flags, setFlags(flagNames.handshake, flags), 16))
    this.say(
      new Message("client", "client flags")
        .number(4, "client flags", clientFlags, setFlags(flagNames.handshake, clientFlags), 16)
    )
  }

  async option(code, { name, queries, types } = {}) {
    const title = Buffer.from(name ?? "")
    const isInfo = types !== undefined
    const hasLength = isInfo || queries !== undefined
    const asked = (queries ?? []).map((query) => Buffer.from(query))
    const length = asked.reduce((sum, query) => sum + 4 + query.length, title.length)
    const message = new Message("client", "option")
      .put(Buffer.from("IHAVEOPT"), "magic: IHAVEOPT")
      .number(4, "option", code, nameOf(options, code))
      .number(4, "length", isInfo ? 6 + length + 2 * types.length : hasLength ? 8 + length : length)
    if (hasLength) message.number(4, "name length", title.length)
    message.text("name", title)
    if (queries !== undefined) message.number(4, "count", asked.length)
    for (const query of asked) message.number(4, "query length", query.length).text("query", query)
    if (isInfo) message.number(2, "count", types.length)
    for (const type of types ?? []) message.number(2, "information type", type, nameOf(infos, type))
    this.say(message)
    if (code === options.EXPORT_NAME) return
    if (code === options.ABORT && await this.#isOver()) return
    let type
    do type = await this.#optionReply()
    while (type > 1 && type < 0x8000_0000)
    if (code === options.STRUCTURED_REPLY) this.structured = type === replies.ACK
  }

  async #optionReply() {
    const header = await this.hear(20)
    const [option, type, length] = [8, 12, 16].map((at) => header.readUInt32BE(at))
    const payload = await this.hear(length)
    const message = new Message("server", "option reply")
      .put(header.subarray(0, 8), "magic: option reply")
      .number(4, "option", option, nameOf(options, option))
      .number(4, "type", type, nameOf(replies, type), type < 0x8000_0000 ? 10 : 16)
      .number(4, "length", length)
    if (type === replies.SERVER) {
      const nameLength = payload.readUInt32BE(0)
      message.number(4, "name length", nameLength)
      message.text("name", payload.subarray(4, 4 + nameLength)).text("description", payload.subarray(4 + nameLength))
    } else if (type === replies.META_CONTEXT) {
      message.number(4, "context id", payload.readUInt32BE(0)).text("context", payload.subarray(4))
    } else if (type === replies.INFO) {
      this.#info(message, payload)
    } else message.text("text", payload)
    this.say(message)
    return type
  }

  #info(message, payload) {
    const info = payload.readUInt16BE(0)
    message.number(2, "information type", info, nameOf(infos, info))
    if (info === infos.EXPORT) {
      message.number(8, "export size", payload.readBigUInt64BE(2))
      const flags = payload.readUInt16BE(10)
      message.number(2, "transmission flags", flags, setFlags(flagNames.transmission, flags), 16)
    } else if (info === infos.BLOCK_SIZE) {
      for (const [index, field] of ["minimum", "preferred", "maximum"].entries()) {
        message.number(4, field, payload.readUInt32BE(2 + 4 * index))
      }
    } else message.text(info === infos.NAME ? "name" : "description", payload.subarray(2))
  }

  async exportNameReply(isPadded) {
    const reply = await this.hear(isPadded ? 134 : 10)
    const flags = reply.readUInt16BE(8)
    const message = new Message("server", "export name reply").number(8, "export size", reply.readBigUInt64BE(0))
      .number(2, "transmission flags", flags, setFlags(flagNames.transmission, flags), 16)
    this.say(isPadded ? message.put(reply.subarray(10), "padding") : message)
  }

  async request(command, { cookie, flags = 0, length = 0, offset = 0n, payload } = {}) {
    this.cookie += 1n
    const isOver = command === commands.DISC
    const message = new Message("client", "request").number(4, "magic", 0x25609513, "", 16)
      .number(2, "command flags", flags, setFlags(flagNames.command, flags), 16)
      .number(2, "command", command, nameOf(commands, command))
      .number(8, "cookie", isOver ? 0 : cookie ?? this.cookie)
      .number(8, "offset", offset)
      .number(4, "length", payload?.length ?? length)
    this.say(payload === undefined ? message : message.put(payload, "payload"))
    if (isOver) return
    while (!await this.#reply(command === commands.READ ? length : 0));
  }

  /** Whether it was the last one. */
  async #reply(readLength) {
    const magic = (await this.hear(4)).readUInt32BE(0)
    if (magic === 0x67446698) {
      const rest = await this.hear(12)
      const error = rest.readUInt32BE(0)
      const message = new Message("server", "simple reply").number(4, "magic", magic, "", 16)
        .number(4, "error", error, error === 0 ? "success" : nameOf(errors, error))
        .number(8, "cookie", rest.readBigUInt64BE(4))
      if (error === 0 && readLength > 0) message.put(await this.hear(readLength), "data")
      this.say(message)
      return true
    }
    const rest = await this.hear(16)
    const [flags, type, length] = [rest.readUInt16BE(0), rest.readUInt16BE(2), rest.readUInt32BE(12)]
    const payload = await this.hear(length)
    const message = new Message("server", "chunk").number(4, "magic", magic, "", 16)
      .number(2, "reply flags", flags, setFlags(flagNames.chunk, flags), 16)
      .number(2, "type", type, nameOf(chunks, type), type < 0x8000 ? 10 : 16)
      .number(8, "cookie", rest.readBigUInt64BE(4))
      .number(4, "length", length)
    if (type === chunks.OFFSET_DATA) {
      message.number(8, "offset", payload.readBigUInt64BE(0)).put(payload.subarray(8), "data")
    }
    if (type === chunks.OFFSET_HOLE) {
      message.number(8, "offset", payload.readBigUInt64BE(0)).number(4, "hole size", payload.readUInt32BE(8))
    }
    if (type === chunks.BLOCK_STATUS) {
      message.number(4, "context id", payload.readUInt32BE(0))
      for (let at = 4; at < length; at += 8) {
        message.number(4, "extent length", payload.readUInt32BE(at)).number(
          4,
          "extent flags",
          payload.readUInt32BE(at + 4)
        )
      }
    }
    if ((type & 0x8000) !== 0) {
      const [error, textLength] = [payload.readUInt32BE(0), payload.readUInt16BE(4)]
      message.number(4, "error", error, nameOf(errors, error)).number(2, "message length", textLength)
        .text("text", payload.subarray(6, 6 + textLength))
      if (type === chunks.ERROR_OFFSET) message.number(8, "offset", payload.readBigUInt64BE(6 + textLength))
    }
    this.say(message)
    return (flags & 1) !== 0
  }
}

const everything = [infos.NAME, infos.DESCRIPTION, infos.BLOCK_SIZE]
const counted = (length, step = 1) => Buffer.from(Array.from({ length }, (_, index) => (index * step) & 0xff))

/** Every command that changes or reads, and one read past the end. */
const allCommands = async (c, size) => {
  await c.request(commands.WRITE, { offset: 512n, payload: counted(64, 3) })
  await c.request(commands.FLUSH)
  await c.request(commands.READ, { offset: 480n, length: 128 })
  await c.request(commands.WRITE_ZEROES, { offset: 0n, length: 4096, flags: 2 })
  await c.request(commands.TRIM, { offset: 4096n, length: 4096 })
  await c.request(commands.CACHE, { offset: 0n, length: 4096 })
  await c.request(commands.READ, { offset: 0n, length: 512 })
  await c.request(commands.READ, { offset: size - 512n, length: 1024 })
  await leave(c)
}
const leave = async (c) => {
  await c.request(commands.DISC)
  await c.hearEnd(true)
}
const enter = async (c, name, { clientFlags = 3, structured = true } = {}) => {
  await c.greeting(clientFlags)
  if (structured) await c.option(options.STRUCTURED_REPLY)
  await c.option(options.GO, { name, types: everything })
}
const enterByName = (name, clientFlags, isPadded) => async (c) => {
  await c.greeting(clientFlags)
  await c.option(options.EXPORT_NAME, { name })
  await c.exportNameReply(isPadded)
  await c.request(commands.READ, { offset: 0n, length: 64 })
  await leave(c)
}
/** A cookie with its top bit set, and a command that no server knows. */
const unknownCommand = (name) => async (c) => {
  await enter(c, name)
  await c.request(0x4242, { cookie: 0xfedc_ba98_7654_3210n })
  await leave(c)
}
const haggleThenGo = (name, missing, size) => async (c) => {
  await c.greeting(3)
  await c.option(options.STRUCTURED_REPLY)
  await c.option(options.LIST)
  await c.option(options.INFO, { name, types: everything })
  if (missing !== undefined) {
    await c.option(options.INFO, { name: missing, types: everything })
    await c.option(options.GO, { name: missing, types: everything })
  }
  await c.option(0x4242)
  await c.option(options.GO, { name, types: [infos.BLOCK_SIZE] })
  await allCommands(c, size)
}

/** Contexts listed and selected, and one status asked for. Too early, in part, or of another export where that is given. */
const withContexts = (name, contexts, { early = false, missing, part } = {}) => async (c) => {
  await c.greeting(3)
  await c.option(options.EXTENDED_HEADERS)
  if (early) await c.option(options.SET_META_CONTEXT, { name, queries: contexts })
  await c.option(options.STRUCTURED_REPLY)
  await c.option(options.LIST_META_CONTEXT, { name, queries: [] })
  if (part !== undefined) await c.option(options.LIST_META_CONTEXT, { name, queries: [part, "x-none:"] })
  if (missing !== undefined) await c.option(options.SET_META_CONTEXT, { name: missing, queries: contexts })
  await c.option(options.SET_META_CONTEXT, { name, queries: ["x-none:such", ...contexts] })
  await c.option(options.GO, { name, types: [] })
  if (c.structured) await c.request(commands.BLOCK_STATUS, { offset: 0n, length: Number(mebibyte) })
  await leave(c)
}

const mebibyte = 1_048_576n
const listing = "echo INTERLEAVED; echo first; echo 'the first disk'; echo second/disk; echo; "
  + "echo диск; echo 'на кириллице'"
const exports = [
  "eval",
  `list_exports=${listing}`,
  "open=if [ \"$3\" = absent ]; then echo ENOENT no such disk >&2; exit 1; fi; echo \"$3\"",
  "export_description=echo \"this is $2\"",
  "get_size=echo 65536",
  "pread=dd if=/dev/zero count=$3 iflag=count_bytes status=none"
]
const config = (socket, disk) =>
  `[generic]\n  unixsock = ${socket}\n  duallisten = false\n  allowlist = true\n[disk]\n  exportname = ${disk}\n` +
  "  flush = true\n  fua = true\n  trim = true\n"

const nbdkit = (...args) => ({ program: "nbdkit", args: ["--foreground", "--unix", "SOCKET", ...args] })
const qemu = (...args) => ({
  program: "qemu-nbd",
  args: ["--persistent", "--socket", "SOCKET", "--format", "raw", ...args, "DISK"]
})
const nbdServer = { program: "nbd-server", args: ["-d", "-C", "CONFIG"] }
const policy = ["--filter=blocksize-policy", "memory", "1M", "blocksize-minimum=4096"]
  .concat(["blocksize-preferred=65536", "blocksize-maximum=1M", "blocksize-error-policy=error"])
const memory = nbdkit("memory", "1M")
const bitmapped = {
  program: "qemu-nbd",
  args: ["--persistent", "--socket", "SOCKET", "--format", "qcow2", "--export-name", "disk"]
    .concat(["--bitmap", "b0", "--allocation-depth", "IMAGE"])
}
const described = qemu("--export-name", "disk", "--description", "a disk with holes")

const goldens = {
  "nbdkit-structured": [memory, haggleThenGo("", undefined, mebibyte)],
  "nbdkit-simple": [nbdkit("--no-sr", "memory", "1M"), async (c) => {
    await enter(c, "")
    await allCommands(c, mebibyte)
  }],
  "nbdkit-export-name": [nbdkit("pattern", "1M"), enterByName("any name", 3, false)],
  "nbdkit-export-name-padded": [nbdkit("pattern", "1M"), enterByName("", 1, true)],
  "nbdkit-not-fixed": [nbdkit("--mask-handshake=0", "pattern", "1M"), enterByName("", 0, true)],
  "nbdkit-oldstyle": [nbdkit("--oldstyle", "memory", "1M"), async (c) => {
    await c.greeting()
    await allCommands(c, mebibyte)
  }],
  "nbdkit-read-only": [nbdkit("--readonly", "pattern", "7E"), async (c) => {
    await enter(c, "")
    await c.request(commands.READ, { offset: 2n ** 62n, length: 64, flags: 4 })
    await c.request(commands.WRITE, { offset: 0n, payload: counted(8) })
    await leave(c)
  }],
  "nbdkit-exports": [nbdkit(...exports), async (c) => {
    await c.greeting(3)
    await c.option(options.LIST)
    await c.option(options.INFO, { name: "диск", types: everything })
    await c.option(options.GO, { name: "absent", types: everything })
    await c.option(options.ABORT)
    await c.hearEnd(true)
  }],
  "nbdkit-block-size": [nbdkit(...policy), async (c) => {
    await enter(c, "")
    await c.request(commands.READ, { offset: 512n, length: 512 })
    await c.request(commands.READ, { offset: 4096n, length: 4096 })
    await leave(c)
  }],
  "nbdkit-error": [nbdkit("--filter=error", "memory", "1M", "error=ENOSPC", "error-rate=100%"), async (c) => {
    await enter(c, "")
    await c.request(commands.READ, { offset: 0n, length: 512 })
    await c.request(commands.WRITE, { offset: 0n, payload: counted(8) })
    await leave(c)
  }],
  "nbdkit-tls-required": [nbdkit("--tls=require", "--tls-psk=KEYS", "memory", "1M"), async (c) => {
    await c.greeting(3)
    await c.option(options.LIST)
    await c.option(options.GO, { name: "", types: everything })
    await c.option(options.ABORT)
    await c.hearEnd(true)
  }],
  "nbdkit-contexts": [memory, withContexts("", ["base:allocation"], { early: true })],
  "nbdkit-unknown-command": [memory, unknownCommand("")],
  "qemu-structured": [described, haggleThenGo("disk", "absent", mebibyte)],
  "qemu-holes": [described, async (c) => {
    await enter(c, "disk")
    await c.request(commands.READ, { offset: 4096n, length: 65_536 })
    await c.request(commands.READ, { offset: 131_072n, length: 4096, flags: 4 })
    await c.request(commands.READ, { offset: 126_976n, length: 8192 })
    await leave(c)
  }],
  "qemu-simple": [described, async (c) => {
    await enter(c, "disk", { structured: false })
    await allCommands(c, mebibyte)
  }],
  "qemu-export-name": [described, enterByName("disk", 3, false)],
  "qemu-export-name-refused": [described, async (c) => {
    await c.greeting(3)
    await c.option(options.EXPORT_NAME, { name: "absent" })
    await c.hearEnd(false)
  }],
  "qemu-read-only": [qemu("--export-name", "disk", "--read-only"), async (c) => {
    await enter(c, "disk")
    await c.request(commands.WRITE, { offset: 0n, payload: counted(8) })
    await leave(c)
  }],
  "qemu-abort": [described, async (c) => {
    await c.greeting(3)
    await c.option(options.LIST)
    await c.option(options.ABORT)
    await c.hearEnd(true)
  }],
  "qemu-contexts": [
    bitmapped,
    withContexts("disk", ["base:allocation", "qemu:dirty-bitmap:b0", "qemu:allocation-depth"], {
      missing: "absent",
      part: "qemu:"
    })
  ],
  "qemu-unknown-command": [described, unknownCommand("disk")],
  "nbd-server-simple": [nbdServer, haggleThenGo("disk", "absent", mebibyte)],
  "nbd-server-export-name": [nbdServer, enterByName("disk", 3, false)],
  "nbd-server-export-name-padded": [nbdServer, enterByName("disk", 1, true)],
  "nbd-server-export-name-refused": [nbdServer, async (c) => {
    await c.greeting(3)
    await c.option(options.EXPORT_NAME, { name: "absent" })
    await c.hearEnd(false)
  }],
  "nbd-server-abort": [nbdServer, async (c) => {
    await c.greeting(3)
    await c.option(options.ABORT)
    await c.hearEnd(true)
  }],
  "nbd-server-contexts": [nbdServer, withContexts("disk", ["base:allocation"])],
  "nbd-server-unknown-command": [nbdServer, unknownCommand("disk")]
}

const versionOf = (program) => {
  const { stderr, stdout } = spawnSync(program, ["--version"], { encoding: "utf8" })
  return `${stdout}${stderr}`.split("\n")[0].replace(/^This is (\S+) version/, "$1").trim()
}

/** What the placeholders of a command line stand for, in words or as text. */
const contents = {
  CONFIG: config("SOCKET", "DISK").trimEnd().split("\n"),
  DISK: ["1 MiB: 4096 bytes counting up by 7, a hole up to 131072, 32768 bytes of 0x5a, a hole"],
  IMAGE: ["qcow2 of 1 MiB: 65536 bytes of 0x5a at 65536; then the dirty bitmap b0; then 512 bytes of 0xa5 at 131072"],
  KEYS: ["one pre-shared key; the capture has no TLS in it"]
}
const remarkOf = (key) => [`${key}:`, ...contents[key].map((line) => `  ${line}`)]
const quoted = (arg) => /^[\w./=,:%-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`

/** As `contents` describes it. */
const makeDisk = (file) => {
  const handle = openSync(file, "w")
  writeSync(handle, counted(4096, 7), 0, 4096, 0)
  writeSync(handle, Buffer.alloc(32_768, 0x5a), 0, 32_768, 131_072)
  truncateSync(file, Number(mebibyte))
}

/** As `contents` describes it. */
const makeImage = (file) => {
  const run = (program, ...args) => {
    const { status, stderr } = spawnSync(program, args, { encoding: "utf8" })
    if (status !== 0) throw new Error(`${program}: ${stderr}`)
  }
  run("qemu-img", "create", "-q", "-f", "qcow2", file, "1M")
  run("qemu-io", "-f", "qcow2", "-c", "write -q -P 0x5a 65536 65536", file)
  run("qemu-img", "bitmap", "--add", "-f", "qcow2", file, "b0")
  run("qemu-io", "-f", "qcow2", "-c", "write -q -P 0xa5 131072 512", file)
}

const connected = async (socket, child) => {
  for (let attempt = 0; attempt < 200; attempt++) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`)
    const client = connect(socket)
    if (
      await new Promise((resolve) => client.once("connect", () => resolve(true)).once("error", () => resolve(false)))
    ) {
      return client
    }
    await pause(20)
  }
  throw new Error("the server does not listen")
}

const capture = async (name, [{ args, program }, script]) => {
  const directory = mkdtempSync(join(tmpdir(), "golden-"))
  const real = { CONFIG: "config", DISK: "disk", IMAGE: "image", KEYS: "keys", SOCKET: "socket" }
  for (const key of Object.keys(real)) real[key] = join(directory, real[key])
  makeDisk(real.DISK)
  if (args.includes("IMAGE")) makeImage(real.IMAGE)
  writeFileSync(real.KEYS, "nobody:00112233445566778899aabbccddeeff\n")
  writeFileSync(real.CONFIG, config(real.SOCKET, real.DISK))
  const actual = args.map((arg) => arg.replace(/\b(CONFIG|DISK|IMAGE|KEYS|SOCKET)$/, (key) => real[key]))
  const used = args.join(" ").match(/\b(CONFIG|DISK|IMAGE|KEYS)\b/g) ?? []
  if (used.includes("CONFIG")) used.push("DISK")
  const child = spawn(program, actual, { stdio: ["ignore", "ignore", "pipe"] })
  let said = ""
  child.stderr.on("data", (bytes) => (said += bytes))
  const exited = once(child, "exit")
  let client
  try {
    client = await connected(real.SOCKET, child)
    const conversation = new Conversation(client)
    await script(conversation)
    const remarks = [versionOf(program), [program, ...args.map(quoted)].join(" "), ...used.flatMap(remarkOf)]
    const text = [remarks.map((remark) => `# ${remark}`.trimEnd()).join("\n"), ...conversation.blocks].join("\n\n")
    writeFileSync(join(target, `${name}.txt`), `${text}\n`)
    console.log(`${name}: ${conversation.blocks.length} messages and ends`)
  } catch (error) {
    process.exitCode = 1
    console.error(`${name}: ${error.message}\n${said}`)
  } finally {
    client?.destroy()
    child.kill()
    await exited
    rmSync(directory, { recursive: true })
  }
}

mkdirSync(target, { recursive: true })
const wanted = process.argv.slice(2)
for (const [name, golden] of Object.entries(goldens)) {
  if (wanted.length === 0 || wanted.includes(name)) await capture(name, golden)
}

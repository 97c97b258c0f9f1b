/**
 * Writes to a file beyond 2^53 - 1, the last position that `node:fs` takes: it writes to any other *where the file is
 * now*, without a word.
 *
 * Node's own implementation of WASI, which is experimental and says so when it is loaded, has positions of 64 bits. It is
 * loaded for files that need it and for no others. Where it cannot be used the file is refused, with EFBIG.
 *
 * @since 0.1.0
 */

/**
 * The last position that `node:fs` takes.
 *
 * @since 0.1.0
 * @category constants
 */
export const farthest = BigInt(Number.MAX_SAFE_INTEGER)

/**
 * Both throw an error with the system's name for it as `code`.
 *
 * @since 0.1.0
 * @category models
 */
export interface FarFile {
  /** Writes some of the bytes; answers with how many. */
  readonly write: (bytes: Uint8Array, position: bigint) => number
  readonly truncate: (size: bigint) => void
}

/** Bytes that are written by one call. */
const longest = 65_536

/** Where they lie in the memory that is shared with WASI; what is told of them, and the answer, lie below. */
const bytesAt = 1024
const answerAt = 16

/** A module that has nothing but two pages of memory. */
const nothingButMemory = Buffer.from("0061736d010000000503010002070a01066d656d6f72790200", "hex")

/** Of WASI's numbers those that tell more than EIO. */
const codes: ReadonlyMap<number, string> = new Map([
  [8, "EBADF"],
  [19, "EDQUOT"],
  [22, "EFBIG"],
  [51, "ENOSPC"],
  [63, "EPERM"],
  [69, "EROFS"]
])

/** The largest size and position of the system: a signed number of 64 bits. */
const largest = (1n << 63n) - 1n

/**
 * Of an open file.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (fd: number): FarFile => {
  let started: Started | undefined
  const system = (): Started => started ??= start(fd)
  return {
    write: (bytes, position) => {
      const count = Math.min(bytes.byteLength, longest)
      if (position > largest - BigInt(count)) throw tooFar()
      const { memory, pwrite } = system()
      const view = new DataView(memory.buffer)
      new Uint8Array(memory.buffer).set(bytes.subarray(0, count), bytesAt)
      view.setUint32(0, bytesAt, true)
      view.setUint32(4, count, true)
      check(pwrite(1, 0, 1, position, answerAt))
      return view.getUint32(answerAt, true)
    },
    truncate: (size) => {
      if (size > largest) throw tooFar()
      check(system().truncate(1, size))
    }
  }
}

interface Started {
  readonly memory: WebAssembly.Memory
  readonly pwrite: (...args: ReadonlyArray<number | bigint>) => unknown
  readonly truncate: (...args: ReadonlyArray<number | bigint>) => unknown
}

const start = (fd: number): Started => {
  const { WASI } = process.getBuiltinModule("node:wasi")
  // A file can only be handed over as a standard stream.
  const wasi = new WASI({ version: "preview1", stdin: fd, stdout: fd, stderr: fd })
  const instance = new WebAssembly.Instance(new WebAssembly.Module(nothingButMemory))
  wasi.initialize(instance)
  const { memory } = instance.exports
  const { fd_filestat_set_size: truncate, fd_pwrite: pwrite } = wasi.wasiImport
  if (!(memory instanceof WebAssembly.Memory) || typeof pwrite !== "function" || typeof truncate !== "function") {
    throw tooFar()
  }
  return {
    memory,
    pwrite: (...args) => Reflect.apply(pwrite, undefined, args),
    truncate: (...args) => Reflect.apply(truncate, undefined, args)
  }
}

const check = (answer: unknown): void => {
  if (answer === 0) return
  throw answer === 22 ? tooFar() : failure(codes.get(Number(answer)) ?? "EIO", `WASI error ${String(answer)}`)
}

const tooFar = (): Error => failure("EFBIG", "file too large")

const failure = (code: string, reason: string): Error => Object.assign(new Error(reason), { code })

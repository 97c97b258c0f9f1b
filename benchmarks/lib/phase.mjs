/**
 * One stretch of a run, the warm-up or what counts: which offset comes next, when it is over, and what it came to.
 *
 * It is the whole of the driver that clients share, and the same for all of them: a client keeps `depth` loops going,
 * and each asks for an offset, reads, and reports. So no client is helped or held up by it.
 */

/** Prime, and no multiple of a depth, so that not always the same loops are timed. */
const sampleEvery = 17

const offsetCount = 131_072

export class Phase {
  #blockBytes
  #blocks
  #seconds
  #operations
  #isChecked
  #random
  #issued = 0
  #isOver = false
  #deadline = Infinity
  #began = 0
  #cpu
  #latencies = []
  result

  constructor({ blockBytes, exportBytes, order }, { operations = Infinity, seconds = Infinity }, { isChecked }) {
    this.#blockBytes = blockBytes
    this.#blocks = exportBytes / blockBytes
    this.#operations = operations
    this.#seconds = seconds
    this.#isChecked = isChecked
    this.#random = order === "random" ? randomBlocks(this.#blocks) : undefined
  }

  begin() {
    this.#cpu = process.cpuUsage()
    this.#began = performance.now()
    this.#deadline = this.#began + this.#seconds * 1000
  }

  /** Where to read next, or -1 when it is over. */
  next() {
    const at = this.#issued
    // A look at the clock for every read would be a cost of the driver's own.
    if ((at & 15) === 0 && performance.now() > this.#deadline) this.#isOver = true
    if (this.#isOver || at >= this.#operations) return -1
    this.#issued = at + 1
    const block = this.#random === undefined ? at % this.#blocks : this.#random[at % offsetCount]
    return block * this.#blockBytes
  }

  /** When the read that `next` gave began, for one read in seventeen; 0 for the others. */
  sample() {
    return this.#issued % sampleEvery === 0 ? performance.now() : 0
  }

  done(sampled, offset, bytes) {
    if (sampled !== 0) this.#latencies.push(performance.now() - sampled)
    if (this.#isChecked) check(offset, bytes, this.#blockBytes)
  }

  end() {
    const milliseconds = performance.now() - this.#began
    const cpu = process.cpuUsage(this.#cpu)
    const latencies = Float64Array.from(this.#latencies).toSorted()
    const percentile = (share) => (latencies[Math.floor(share * (latencies.length - 1))] ?? 0) * 1000
    this.result = {
      operations: this.#issued,
      seconds: milliseconds / 1000,
      cpuMicros: (cpu.user + cpu.system) / this.#issued,
      p50Micros: percentile(0.5),
      p99Micros: percentile(0.99),
      maxRssBytes: process.resourceUsage().maxRSS * 1024
    }
  }
}

/** The same blocks in every process: mulberry32 with a fixed seed. */
const randomBlocks = (blocks) => {
  let state = 0x6e62_6421
  return Uint32Array.from({ length: offsetCount }, () => {
    state = (state + 0x6d2b_79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % blocks
  })
}

/** The export holds nbdkit's pattern: every eight bytes are their own offset. */
const check = (offset, bytes, length) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const isRight = (at) => view.getBigUint64(at) === BigInt(offset + at)
  if (bytes.byteLength !== length || !isRight(0) || !isRight(length - 8)) {
    throw new Error(`wrong content at offset ${offset}`)
  }
}

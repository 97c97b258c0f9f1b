/**
 * One stretch of a run, the warm-up or what counts: what comes next, when it is over, and what it came to.
 *
 * It is the whole of the driver that clients share, and the same for all of them: a client keeps `depth` loops going,
 * and each asks for an offset, does what is measured, and reports. So no client is helped or held up by it.
 */
import { check, stamp } from "./pattern.mjs"

/** Prime, and no multiple of a depth, so that not always the same loops are timed. */
const sampleEvery = 17

const offsetCount = 131_072

/** How many of the last writes of a warm-up are read back. */
const keptWrites = 16

export class Phase {
  #blockBytes
  #blocks
  #clockMask
  #seconds
  #least
  #operations
  #isChecked
  #random
  #issued = 0
  #counted = 0
  #isOver = false
  #deadline = Infinity
  #began = 0
  #cpu
  #latencies = []
  #writes = []
  result

  /**
   * It ends after `operations`, or after `seconds` if there were at least `least` operations by then.
   * `rare`: operations that take so long that the clock is asked before, and every one is timed.
   */
  constructor(
    { blockBytes = 1, exportBytes = 1, order, rare = false },
    { least = 0, operations = Infinity, seconds = Infinity },
    { isChecked }
  ) {
    this.#blockBytes = blockBytes
    this.#blocks = exportBytes / blockBytes
    this.#clockMask = rare ? 0 : 15
    this.sampleEvery = rare ? 1 : sampleEvery
    this.#least = least
    this.#operations = operations
    this.#seconds = seconds
    this.#isChecked = isChecked
    this.#random = order === "random" ? randomBlocks(this.#blocks) : undefined
  }

  get isChecked() {
    return this.#isChecked
  }

  begin() {
    this.#cpu = process.cpuUsage()
    this.#began = performance.now()
    this.#deadline = this.#began + this.#seconds * 1000
  }

  /** Where to read or write next, or -1 when it is over. */
  next() {
    const at = this.#issued
    // A look at the clock for every read would be a cost of the driver's own.
    if ((at & this.#clockMask) === 0 && at >= this.#least && performance.now() > this.#deadline) this.#isOver = true
    if (this.#isOver || at >= this.#operations) return -1
    this.#issued = at + 1
    const block = this.#random === undefined ? at % this.#blocks : this.#random[at % offsetCount]
    return block * this.#blockBytes
  }

  /** When the operation that `next` gave began, for one in seventeen; 0 for the others. */
  sample() {
    return this.#issued % this.sampleEvery === 0 ? performance.now() : 0
  }

  /** An operation is over; `bytes` are what was read. */
  done(sampled, offset, bytes) {
    if (sampled !== 0) this.#latencies.push(performance.now() - sampled)
    if (this.#isChecked && bytes !== undefined) check(bytes, offset, this.#blockBytes)
  }

  /** Before a write: makes its content what it has to be there. What is measured writes the same bytes all the time. */
  prepare(offset, bytes) {
    if (!this.#isChecked) return
    stamp(bytes, offset)
    this.#writes[this.#issued % keptWrites] = offset
  }

  /** Offsets that were written, to be read back. */
  get written() {
    return this.#writes.filter((offset) => offset !== undefined)
  }

  /** Where one operation does many things, extents for example: how many it was. */
  count(things) {
    this.#counted += things
  }

  end() {
    const milliseconds = performance.now() - this.#began
    const cpu = process.cpuUsage(this.#cpu)
    const operations = this.#counted || this.#issued
    const latencies = Float64Array.from(this.#latencies).toSorted()
    const percentile = (share) => (latencies[Math.floor(share * (latencies.length - 1))] ?? 0) * 1000
    this.result = {
      operations,
      seconds: milliseconds / 1000,
      cpuMicros: (cpu.user + cpu.system) / operations,
      ...(latencies.length > 0 && { p50Micros: percentile(0.5), p99Micros: percentile(0.99) }),
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

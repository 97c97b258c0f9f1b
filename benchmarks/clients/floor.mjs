/**
 * The least a Node client can do: one receive buffer, replies parsed in place, each payload copied once into memory
 * that is used again, the requests of one turn in one write. Simple replies only; no errors, no cancellation, no checks.
 * What is above this line is the price of Node itself, and not to be had by any library.
 */
import { open } from "./floorSession.mjs"

const requestMagic = 0x2560_9513
const requestBytes = 28
const replyBytes = 16
const readCommand = 0
const writeCommand = 1

const requests = async (job, command) => {
  const session = await open(job.target)
  for (const phase of job.phases) {
    phase.begin()
    await perform(session, job, phase, command)
    phase.end()
    await readBack(session, job, phase)
  }
  await session.close()
}

export const read = (job) => requests(job, readCommand)
export const write = (job) => requests(job, writeCommand)

/** Connects and leaves, one time after the other. */
export const connect = async ({ phases, target }) => {
  for (const phase of phases) {
    phase.begin()
    for (let at = phase.next(); at >= 0; at = phase.next()) {
      const sampled = phase.sample()
      const session = await open(target)
      await session.close()
      phase.done(sampled)
    }
    phase.end()
  }
}

/** Reads what was written, in the order in which the phase tells it, as one more phase of reads. */
const readBack = async (session, job, phase) => {
  const offsets = phase.written
  let at = 0
  await perform(
    session,
    { ...job, depth: 1 },
    {
      next: () => offsets[at++] ?? -1,
      sample: () => 0,
      done: (sampled, offset, bytes) => phase.done(sampled, offset, bytes)
    },
    readCommand
  )
}

/** Keeps `depth` requests going until the phase is over. A request's cookie is the number of its slot. */
const perform = (session, { blockBytes, depth }, phase, command) =>
  new Promise((resolve) => {
    const isWrite = command === writeCommand
    const { writable } = session
    const slots = Array.from({ length: depth }, (_, cookie) => ({
      cookie,
      offset: 0,
      sampled: 0,
      bytes: Buffer.alloc(blockBytes)
    }))
    const header = Buffer.alloc(replyBytes)
    let headerBytes = 0
    let slot
    let filled = 0
    let outstanding = 0
    let requests
    let count = 0

    const issue = (cookie) => {
      const offset = phase.next()
      if (offset < 0) return
      slots[cookie].offset = offset
      slots[cookie].sampled = phase.sample()
      requests ??= Buffer.allocUnsafe(requestBytes * depth)
      const at = requestBytes * count
      requests.writeUInt32BE(requestMagic, at)
      requests.writeUInt32BE(command, at + 4)
      requests.writeUInt32BE(0, at + 8)
      requests.writeUInt32BE(cookie, at + 12)
      requests.writeUInt32BE(Math.floor(offset / 0x1_0000_0000), at + 16)
      requests.writeUInt32BE(offset % 0x1_0000_0000, at + 20)
      requests.writeUInt32BE(blockBytes, at + 24)
      count += 1
      outstanding += 1
      if (isWrite) {
        if (count === 1) writable.cork()
        phase.prepare(offset, slots[cookie].bytes)
        writable.write(requests.subarray(at, at + requestBytes))
        writable.write(slots[cookie].bytes)
      }
    }

    const flush = () => {
      if (count > 0) {
        if (isWrite) writable.uncork()
        else writable.write(requests.subarray(0, requestBytes * count))
      }
      requests = undefined
      count = 0
      if (outstanding === 0) resolve()
    }

    const complete = () => {
      const { bytes, cookie, offset, sampled } = slot
      phase.done(sampled, offset, isWrite ? undefined : bytes)
      outstanding -= 1
      slot = undefined
      issue(cookie)
    }

    session.receive((bytes) => {
      let at = 0
      while (at < bytes.length) {
        if (slot === undefined) {
          const taken = Math.min(replyBytes - headerBytes, bytes.length - at)
          const isWhole = headerBytes === 0 && taken === replyBytes
          if (!isWhole) bytes.copy(header, headerBytes, at, at + taken)
          headerBytes += taken
          if (headerBytes === replyBytes) {
            slot = slots[isWhole ? bytes.readUInt32BE(at + 12) : header.readUInt32BE(12)]
            headerBytes = 0
            filled = 0
          }
          at += taken
          if (isWrite && slot !== undefined) complete()
        } else {
          const taken = Math.min(blockBytes - filled, bytes.length - at)
          bytes.copy(slot.bytes, filled, at, at + taken)
          filled += taken
          at += taken
          if (filled === blockBytes) complete()
        }
      }
      flush()
    })
    for (let cookie = 0; cookie < depth; cookie++) issue(cookie)
    flush()
  })

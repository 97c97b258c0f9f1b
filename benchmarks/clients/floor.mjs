/**
 * The least a Node client can do: one receive buffer, replies parsed in place, each payload copied once into memory
 * that is used again, the requests of one turn in one write. Simple replies only; no errors, no cancellation, no checks.
 * What is above this line is the price of Node itself, and not to be had by any library.
 */
import * as net from "node:net"

const requestMagic = 0x2560_9513
const requestBytes = 28
const replyBytes = 16
const receiveBytes = 65_536

export const read = async (job) => {
  const session = await connect(job.target)
  for (const phase of job.phases) {
    phase.begin()
    await session.perform(job, phase)
    phase.end()
  }
  session.socket.destroy()
}

/** Oldest way in: EXPORT_NAME, ten bytes back, and transmission begins. */
const connect = (target) =>
  new Promise((resolve, reject) => {
    let onBytes = (bytes) => {
      if (bytes.length !== 18) reject(new Error(`a greeting of ${bytes.length} bytes`))
      const hello = Buffer.alloc(4 + 16)
      hello.writeUInt32BE(3, 0)
      hello.write("IHAVEOPT", 4, "latin1")
      hello.writeUInt32BE(1, 12)
      onBytes = (answer) => {
        if (answer.length !== 10) reject(new Error(`an export of ${answer.length} bytes`))
        resolve({
          socket,
          perform: (job, phase) => perform(socket, job, phase, (receiver) => onBytes = receiver)
        })
      }
      socket.write(hello)
    }
    const onread = {
      buffer: Buffer.alloc(receiveBytes),
      callback: (length, buffer) => {
        onBytes(length === receiveBytes ? buffer : buffer.subarray(0, length))
        return true
      }
    }
    const socket = net.connect({ ...target, noDelay: true, onread })
    socket.on("error", reject)
  })

/** Keeps `depth` reads going until the phase is over. A request's cookie is the number of its slot. */
const perform = (socket, { blockBytes, depth }, phase, receive) =>
  new Promise((resolve) => {
    const slots = Array.from({ length: depth }, (_, cookie) => ({
      cookie,
      offset: 0,
      sampled: 0,
      destination: Buffer.alloc(blockBytes)
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
      requests.writeUInt32BE(0, at + 4)
      requests.writeUInt32BE(0, at + 8)
      requests.writeUInt32BE(cookie, at + 12)
      requests.writeUInt32BE(Math.floor(offset / 0x1_0000_0000), at + 16)
      requests.writeUInt32BE(offset % 0x1_0000_0000, at + 20)
      requests.writeUInt32BE(blockBytes, at + 24)
      count += 1
      outstanding += 1
    }

    const flush = () => {
      if (count > 0) socket.write(requests.subarray(0, requestBytes * count))
      requests = undefined
      count = 0
      if (outstanding === 0) resolve()
    }

    const complete = () => {
      const { cookie, destination, offset, sampled } = slot
      phase.done(sampled, offset, destination)
      outstanding -= 1
      slot = undefined
      issue(cookie)
    }

    receive((bytes) => {
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
        } else {
          const taken = Math.min(blockBytes - filled, bytes.length - at)
          bytes.copy(slot.destination, filled, at, at + taken)
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

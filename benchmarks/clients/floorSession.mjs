/**
 * The least that gets a Node program to where it can send requests: by socket, by a program's pipes, or over TLS.
 * The oldest way in: EXPORT_NAME, ten bytes back, and transmission begins.
 */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import * as net from "node:net"
import { connect as startTls } from "node:tls"

const receiveBytes = 65_536
const exportNameOption = 1
const startTlsOption = 5
const acknowledged = 1
const requestMagic = 0x2560_9513
const disconnect = 2

/** A session: `receive` says who gets the bytes from now on, `writable` takes requests, `close` ends it in order. */
export const open = async (target) => {
  let session = await channels[target.transport](target)
  await session.take(18)
  const hello = Buffer.alloc(4)
  hello.writeUInt32BE(3)
  if (target.transport === "tls") {
    session.writable.write(Buffer.concat([hello, option(startTlsOption)]))
    const reply = await session.take(20)
    if (reply.readUInt32BE(12) !== acknowledged) throw new Error("TLS was refused")
    session = await secured(session, target)
    session.writable.write(option(exportNameOption))
  } else session.writable.write(Buffer.concat([hello, option(exportNameOption)]))
  await session.take(10)
  return session
}

const option = (number) => {
  const bytes = Buffer.alloc(16)
  bytes.write("IHAVEOPT", 0, "latin1")
  bytes.writeUInt32BE(number, 8)
  return bytes
}

/** What reads: a callback that changes. While bytes are awaited by number, they are kept until there are enough. */
const reader = () => {
  let onBytes = () => {}
  let fail = () => {}
  return {
    onBytes: (bytes) => onBytes(bytes),
    onError: (error) => fail(error),
    receive: (next) => onBytes = next,
    take: (count) =>
      new Promise((resolve, reject) => {
        const parts = []
        let held = 0
        fail = reject
        onBytes = (bytes) => {
          // The buffer is used again for what comes next.
          parts.push(Buffer.from(bytes))
          held += bytes.length
          if (held === count) resolve(Buffer.concat(parts))
          else if (held > count) reject(new Error(`${held} bytes where ${count} were expected`))
        }
      })
  }
}

const session = (reader, writable, finished) => ({
  take: reader.take,
  receive: reader.receive,
  writable,
  close: () => {
    const goodbye = Buffer.alloc(28)
    goodbye.writeUInt32BE(requestMagic, 0)
    goodbye.writeUInt16BE(disconnect, 6)
    writable.end(goodbye)
    return finished
  }
})

/** Closed by both ends. */
const finished = (stream) => new Promise((resolve) => stream.once("close", resolve))

const socket = ({ host, path, port }) => {
  const bytes = reader()
  const onread = {
    buffer: Buffer.alloc(receiveBytes),
    callback: (length, buffer) => {
      bytes.onBytes(length === receiveBytes ? buffer : buffer.subarray(0, length))
      return true
    }
  }
  const connection = net.connect({ ...(path === undefined ? { host, port } : { path }), noDelay: true, onread })
  connection.on("error", bytes.onError)
  return session(bytes, connection, finished(connection))
}

const program = ({ command: [name, ...args] }) => {
  const bytes = reader()
  const child = spawn(name, args, { stdio: ["pipe", "pipe", "inherit"] })
  child.on("error", bytes.onError)
  child.stdin.on("error", bytes.onError)
  child.stdout.on("data", bytes.onBytes)
  return session(bytes, child.stdin, finished(child))
}

/** Without `onread`: what a socket has that TLS is started on later. */
const plain = ({ host, port }) => {
  const bytes = reader()
  const connection = net.connect({ host, port, noDelay: true })
  connection.on("error", bytes.onError)
  connection.on("data", bytes.onBytes)
  return session(bytes, connection, finished(connection))
}

const secured = ({ writable: under }, { host, tls }) =>
  new Promise((resolve, reject) => {
    under.removeAllListeners("data")
    const bytes = reader()
    const connection = startTls({ socket: under, servername: host, ca: readFileSync(tls.authority) })
    connection.on("error", (error) => {
      bytes.onError(error)
      reject(error)
    })
    connection.on("data", bytes.onBytes)
    connection.once("secureConnect", () => resolve(session(bytes, connection, finished(connection))))
  })

const channels = { unix: socket, tcp: socket, tls: plain, command: program }

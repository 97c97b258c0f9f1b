/** `info` beside nbdinfo, of servers with TLS. */
import { describe, expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { same, sameAnswer, sameText } from "./support/nbdinfo.ts"
import { pki } from "./support/pki.ts"
import { cli, itWith, start } from "./support/programs.ts"
import { accepting, folder, freePort, nbdkit } from "./support/servers.ts"

const withTls = (...programs: ReadonlyArray<string>) => itWith("nbdinfo", "file", "certtool", "psktool", ...programs)

/** nbdkit on a port; answers with its authority. */
const nbdkitOnPort = (...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const port = yield* freePort
    yield* start("nbdkit", "-f", "-i", "127.0.0.1", "-p", `${port}`, ...args)
    yield* accepting({ host: "127.0.0.1", port })
    return `localhost:${port}`
  })

describe("info prints what nbdinfo prints, of", () => {
  withTls("nbdkit")("nbdkit with certificates", () =>
    Effect.gen(function*() {
      const { certificates } = yield* pki
      const server = yield* nbdkitOnPort("--tls=require", `--tls-certificates=${certificates}`, "memory", "1M")
      const uri = `nbds://${server}/?tls-certificates=${certificates}`
      expect(yield* same(uri)).toContain("\"TLS\": true,\n")
      yield* same("--list", uri)
      yield* sameText("--map", uri)
      yield* sameAnswer(0, "--is", "tls", uri)
    }))

  withTls("nbdkit")("nbdkit that wants a client's certificate", () =>
    Effect.gen(function*() {
      const { certificates } = yield* pki
      const options = ["--tls=require", "--tls-verify-peer", `--tls-certificates=${certificates}`]
      const server = yield* nbdkitOnPort(...options, "memory", "1M")
      yield* same(`nbds://${server}/?tls-certificates=${certificates}`)
    }))

  withTls("nbdkit")("nbdkit on a Unix socket, which has no name to verify", () =>
    Effect.gen(function*() {
      const { certificates } = yield* pki
      const uri = yield* nbdkit("--tls=require", `--tls-certificates=${certificates}`, "memory", "1M")
      yield* same(`${uri.replace("nbd", "nbds")}&tls-certificates=${certificates}`)
    }))

  withTls("nbdkit")("nbdkit with a pre-shared key", () =>
    Effect.gen(function*() {
      const { pskFile } = yield* pki
      const uri = yield* nbdkit("--tls=require", `--tls-psk=${pskFile}`, "memory", "1M")
      yield* same(`${uri.replace("nbd+unix://", "nbds+unix://alice@")}&tls-psk-file=${pskFile}`)
      const server = yield* nbdkitOnPort("--tls=require", `--tls-psk=${pskFile}`, "memory", "1M")
      yield* same(`nbds://alice@${server}/?tls-psk-file=${pskFile}`)
    }))

  withTls("nbdkit")("nbdkit that leaves TLS to its clients", () =>
    Effect.gen(function*() {
      const { certificates } = yield* pki
      const server = yield* nbdkitOnPort("--tls=on", `--tls-certificates=${certificates}`, "memory", "1M")
      expect(yield* same(`nbd://${server}/`)).toContain("\"TLS\": false,\n")
      yield* same(`nbds://${server}/?tls-certificates=${certificates}`)
    }))

  withTls("qemu-nbd")("qemu-nbd", () =>
    Effect.gen(function*() {
      const { certificates } = yield* pki
      const image = join(yield* folder, "disk.img")
      writeFileSync(image, Buffer.alloc(65_536))
      const port = yield* freePort
      const credentials = `tls-creds-x509,id=tls,endpoint=server,dir=${certificates},verify-peer=yes`
      const where = ["-b", "127.0.0.1", "-p", `${port}`]
      const options = ["-t", "-e", "8", "-f", "raw", "-x", "disk", "-D", "encrypted", "--object", credentials]
      yield* start("qemu-nbd", ...where, ...options, "--tls-creds", "tls", image)
      yield* accepting({ host: "127.0.0.1", port })
      const uri = `nbds://localhost:${port}/disk?tls-certificates=${certificates}`
      yield* same(uri)
      yield* same("--list", uri)
    }))
})

/** One line, and exit code 1. */
const fails = (uri: string, message: RegExp) =>
  Effect.map(cli("info", uri), ({ code, stderr, stdout }) => {
    expect(stderr).toMatch(/^effect-nbd: [^\n]*\n$/)
    expect(stderr).toMatch(message)
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
  })

describe("info, where TLS", () => {
  withTls("nbdkit")("is required, or refused, or shows a stranger, or the wrong name", () =>
    Effect.gen(function*() {
      const { certificates } = yield* pki
      const { certificates: strangers } = yield* pki
      const server = yield* nbdkitOnPort("--tls=require", `--tls-certificates=${certificates}`, "memory", "1M")
      const plain = yield* nbdkitOnPort("--tls=off", "memory", "1M")
      yield* fails(`nbd://${server}`, /the server requires TLS before NBD_OPT_/)
      yield* fails(`nbds://${plain}/?tls-certificates=${certificates}`, /TLS/)
      yield* fails(`nbds://${server}/?tls-certificates=${strangers}`, /certificate/)
      yield* fails(`nbds://${server}/?tls-certificates=${certificates}&tls-hostname=other.example`, /other\.example/)
      yield* fails(`nbds://${server}/?tls-certificates=/no/such/folder`, /\/no\/such\/folder/)
    }))
})

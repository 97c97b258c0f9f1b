/** `effect-nbd serve` with one way to reach it, in the words of each client. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { join } from "node:path"
import { pki } from "./pki.ts"
import { start } from "./programs.ts"
import { accepting, folder, freePort } from "./servers.ts"
import { serving } from "./serving.ts"

export type Way = "TCP" | "a Unix socket" | "TLS"

export interface Reached {
  /** For libnbd, of an export. */
  readonly uri: (exportName: string) => string
  /** For qemu: options of the command, and the image. */
  readonly qemu: { readonly objects: ReadonlyArray<string>; readonly image: (exportName: string) => string }
  /** For nbd-client. */
  readonly address: ReadonlyArray<string>
  /** The URI of nbdkit, served the same way with these arguments. */
  readonly nbdkit: (...args: ReadonlyArray<string>) => Effect.Effect<string, never, Scope.Scope>
}

const raw = (server: string, more = "") => (exportName: string) =>
  `driver=raw,file.driver=nbd,file.export=${exportName},${server}${more}`

const onPort = (port: string | number) => `file.server.type=inet,file.server.host=127.0.0.1,file.server.port=${port}`

const nbdkitOn = (port: number, ...args: ReadonlyArray<string>) =>
  Effect.zipRight(
    start("nbdkit", "-f", "-i", "127.0.0.1", "-p", `${port}`, ...args),
    accepting({ host: "127.0.0.1", port })
  )

/** Serves these exports that way. */
export const reaching = (way: Way, ...args: ReadonlyArray<string>): Effect.Effect<Reached, never, Scope.Scope> =>
  Effect.gen(function*() {
    if (way === "a Unix socket") {
      const path = join(yield* folder, "socket")
      yield* serving(`--unix=${path}`, ...args)
      const uriOn = (path: string) => (exportName: string) => `nbd+unix:///${exportName}?socket=${path}`
      return {
        uri: uriOn(path),
        qemu: { objects: [], image: raw(`file.server.type=unix,file.server.path=${path}`) },
        address: ["-unix", path],
        nbdkit: (...args) =>
          Effect.gen(function*() {
            const theirs = join(yield* folder, "socket")
            yield* start("nbdkit", "-f", "-U", theirs, ...args)
            yield* accepting({ path: theirs })
            return uriOn(theirs)("disk")
          })
      }
    }
    const isEncrypted = way === "TLS"
    const certificates = isEncrypted ? (yield* pki).certificates : ""
    const [query, theirs, ours] = isEncrypted
      ? [
        `?tls-certificates=${certificates}`,
        ["--tls=require", `--tls-certificates=${certificates}`],
        [`--tls-certificates=${certificates}`]
      ] as const
      : ["", [], []] as const
    const uriOn = (port: string | number) => (exportName: string) =>
      `nbd${isEncrypted ? "s" : ""}://127.0.0.1:${port}/${exportName}${query}`
    const { port } = yield* serving("--port=0", ...ours, ...args)
    const creds = `tls-creds-x509,id=tls,endpoint=client,dir=${certificates}`
    return {
      uri: uriOn(port),
      qemu: {
        objects: isEncrypted ? ["--object", creds] : [],
        image: raw(onPort(port), isEncrypted ? ",file.tls-creds=tls" : "")
      },
      address: ["127.0.0.1", port, ...isEncrypted ? ["-x", "-A", join(certificates, "ca-cert.pem")] : []],
      nbdkit: (...args) =>
        Effect.flatMap(freePort, (port) => Effect.as(nbdkitOn(port, ...theirs, ...args), uriOn(port)("disk")))
    }
  })

/**
 * The conformance suite over the fake server as `serve` runs it: through a listening TCP socket, through a Unix socket,
 * and as a command. The first two go on with one server for all checks, as a user would have it.
 */
import { Conformance } from "@effect-nbd/conformance"
import type { Transport } from "@effect-nbd/core/Transport"
import { CommandTransport, TcpTransport, UnixTransport } from "@effect-nbd/node"
import * as Command from "@effect/platform/Command"
import { afterAll, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { join } from "node:path"
import { bin, startCli } from "./support/programs.ts"
import { folder } from "./support/servers.ts"

const options = ["--size=2M", "--export=first", "--export=disk"]

const target: Conformance.Target = { exportName: "disk", unknownExport: "nothing" }

const overTcp = Effect.gen(function*() {
  const uri = yield* Effect.flatMap(startCli("serve", "--port=0", ...options), ({ firstLine }) => firstLine)
  return TcpTransport.layer({ host: "127.0.0.1", port: new URL(uri).port })
})

const overUnix = Effect.gen(function*() {
  const path = join(yield* folder, "socket")
  yield* Effect.flatMap(startCli("serve", `--unix=${path}`, ...options), ({ firstLine }) => firstLine)
  return UnixTransport.layer({ path })
})

const asCommand = Effect.succeed(
  CommandTransport.layer(Command.make(process.execPath, bin, "serve", "--stdio", ...options))
)

type Serving = Effect.Effect<Layer.Layer<Transport>, never, Scope.Scope>

describe.each<readonly [string, Serving, Conformance.Target]>([
  ["over TCP", overTcp, target],
  ["over a Unix socket", overUnix, target],
  ["as a command", asCommand, { ...target, keepsContent: false }]
])("serve, %s (C-008)", (_name, serving, target) => {
  const scope = Effect.runSync(Scope.make())
  let transport: Layer.Layer<Transport> | undefined

  beforeAll(async () => {
    transport = await Effect.runPromise(Scope.extend(serving, scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  for (const { name, run } of Conformance.checks(target)) {
    it.scopedLive(
      name,
      () => transport === undefined ? Effect.dieMessage("no server") : Effect.provide(run, transport),
      30_000
    )
  }
})

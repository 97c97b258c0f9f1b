/**
 * A server that breaks one rule, for the checks that have to condemn it.
 *
 * What it says is broken by misbehaviours, and what it does by how it hears: its client's messages reach it changed, so
 * that it takes for granted what the rule forbids it to. Without all that it is an honest server.
 */
import { Conformance } from "@effect-nbd/conformance"
import { Transport } from "@effect-nbd/core"
import type { MemoryExportConfig } from "@effect-nbd/server/ServedExport"
import { FakeServer, MemoryPipe, type Misbehaviour, Steering } from "@effect-nbd/testing"
import type { RecordedRequest } from "@effect-nbd/testing/Recording"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { reply } from "./Says.ts"

/** What the server takes a message for: a whole option, request with its payload, or answer to the greeting. */
export type Hearing = (message: Uint8Array, server: FakeServer.FakeServerService) => Uint8Array

/** How a server is, rightly or not. */
export interface Ways {
  readonly server?: Partial<FakeServer.FakeServerConfig>
  readonly disk?: Partial<MemoryExportConfig>
  readonly says?: ReadonlyArray<Misbehaviour.Misbehaviour>
}

/** Which honest server the check is about. */
export interface Setting extends Ways {
  readonly target?: Partial<Conformance.Target>
  /** The server has TLS, and the client wants it. */
  readonly tls?: "Allow" | "Require"
}

export interface Breaker extends Ways {
  /** The rule that is broken; the check names it. */
  readonly rule: Conformance.RuleId
  /** What the check says about it. */
  readonly found: RegExp
  /** What the server has beside that; nothing by default. */
  readonly among?: Setting
  readonly does?: Steering.Handler
  readonly hears?: Hearing
  /** For a server that says nothing where it should. */
  readonly timeout?: Duration.DurationInput
  /** The checks of the same kind that fail beside it, in their order, where these are looked at. */
  readonly others?: ReadonlyArray<string>
}

/** By the names of the checks: for each rule that one names, ways to break it. */
export type Breakers = Readonly<Record<string, ReadonlyArray<Breaker>>>

export const disk = { name: "disk", size: 1_048_576, description: "a disk", allocationDepth: true }

export const size = BigInt(disk.size)

type Is = (request: RecordedRequest) => boolean

export const is = (command: RecordedRequest["command"]): Is => (request) => request.command === command

/** It begins where the export ends. */
export const isPast = (command: RecordedRequest["command"]): Is => (request) =>
  request.command === command && request.offset === size

/** Everything is right, and then a read fails: the check looks whether the stream is still framed. */
export const readFails = {
  found: /a read after it: expected "none", saw "EINVAL \(22\)"/,
  does: ({ command, flags, length, offset }) =>
    command === "READ" && flags === 0 && length === 512 && offset === 0n ? Steering.fail("EINVAL") : Steering.proceed
} satisfies Partial<Breaker>

/** The same of haggling, which has to go on. */
export const goFails = {
  found: /answer to (?:a )?GO(?: after it)?: expected "NBD_REP_ACK", saw "NBD_REP_ERR_POLICY"/,
  says: [reply("GO", "ERR_POLICY")]
} satisfies Partial<Breaker>

export const targetAmong = ({ target }: Setting = {}): Conformance.Target => ({
  exportName: "disk",
  unknownExport: "nothing",
  ...target
})

/** Nobody looks at them in memory. */
const settings = { credentials: { _tag: "Psk", keyOf: () => undefined } } as const

/** The Transport to a new server. */
const connecting = (
  among: Setting,
  { disk: own, does, hears, says = [], server: config }: Omit<Breaker, "rule" | "found">
): Effect.Effect<Transport.Transport["Type"], never, Scope.Scope> =>
  Effect.gen(function*() {
    const { tls } = among
    const server = yield* FakeServer.make({
      exports: [{ ...disk, ...among.disk, ...own }],
      delivery: MemoryPipe.whole,
      misbehaviours: [...among.says ?? [], ...says],
      ...tls && { tls: { mode: tls, settings } },
      ...among.server,
      ...config
    })
    yield* server.onRequest(does)
    const open = hears === undefined ? server.open : Effect.map(server.open, (connection) => ({
      ...connection,
      write: (chunks: ReadonlyArray<Uint8Array>) => connection.write(chunks.map((message) => hears(message, server)))
    }))
    return { target: "a server to judge", open, ...tls && { tls: { mode: "Require" } } }
  })

/** What the check finds of a new server. */
export const verdictOf = (
  check: Conformance.Check,
  among: Setting = {},
  breaker: Omit<Breaker, "rule" | "found"> = {}
): Effect.Effect<Conformance.Verdict> =>
  Effect.scoped(
    Effect.gen(function*() {
      const { timeout = "2 seconds" } = breaker
      const transport = yield* connecting(among, breaker)
      const run = Conformance.run(targetAmong(among), { checks: [check], timeout })
      const { checks: [result] } = yield* Effect.provideService(run, Transport.Transport, transport)
      return result?.verdict ?? { _tag: "Skipped", reason: "nothing was run" }
    })
  )

/**
 * The conformance suite over the fake server in memory: every protocol, reply style and way of delivery.
 */
import { Conformance, FakeServer, MemoryPipe } from "@effect-nbd/testing"
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

const disk = { name: "disk", size: 1_048_576 * 2 }
const named = { exportName: "disk", unknownExport: "nothing" } as const

const servers: ReadonlyArray<readonly [string, FakeServer.FakeServerConfig, Conformance.Target]> = [
  ["structured replies", { exports: [{ name: "first", size: 512 }, disk] }, named],
  ["simple replies", { exports: [disk], structuredReplies: false }, named],
  ["bytes one at a time", { exports: [disk], delivery: MemoryPipe.bytes }, named],
  ["bytes that run together", { exports: [disk], delivery: MemoryPipe.coalesced }, named],
  ["bytes split at random", { exports: [disk], delivery: MemoryPipe.random(20_260) }, named],
  ["bytes split at random, simple replies", {
    exports: [disk],
    structuredReplies: false,
    delivery: MemoryPipe.random(7)
  }, named],
  ["reads in many chunks, last one first", {
    exports: [disk],
    chunkSize: 1000,
    chunkOrder: "Descending",
    endWithNone: true
  }, named],
  ["simple acknowledgements", { exports: [disk], acknowledgements: "Simple" }, named],
  [
    "block size constraints",
    {
      exports: [{ ...disk, blockSize: { minimum: 512, preferred: 4096, maximum: 1_048_576 } }],
      requireBlockSize: true
    },
    named
  ],
  [
    "a small maximum payload",
    { exports: [{ ...disk, blockSize: { minimum: 1, preferred: 4096, maximum: 65_536 } }] },
    named
  ],
  [
    "nothing but reads and writes",
    {
      exports: [{
        ...disk,
        can: { flush: false, fua: false, trim: false, writeZeroes: false, fastZero: false, cache: false, df: false }
      }]
    },
    named
  ],
  ["no GO", { exports: [disk], refuse: { GO: "ERR_UNSUP" }, extendedHeaders: false }, { exportName: "disk" }],
  [
    "no GO, padded",
    { exports: [disk], refuse: { GO: "ERR_UNSUP" }, extendedHeaders: false, noZeroes: false },
    { exportName: "disk" }
  ],
  ["newstyle that is not fixed", { exports: [disk], protocol: "newstyle" }, {
    exportName: "disk",
    protocol: "newstyle"
  }],
  ["oldstyle", { exports: [{ ...disk, name: "" }], protocol: "oldstyle" }, { exportName: "", protocol: "oldstyle" }]
]

describe.each(servers)("%s", (_name, config, target) => {
  for (const { name, run } of Conformance.checks(target)) {
    it.scopedLive(name, () => Effect.provide(run, FakeServer.layer(config)))
  }
})

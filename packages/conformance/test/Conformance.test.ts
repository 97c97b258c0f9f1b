/**
 * The conformance suite over the fake server in memory: every protocol, reply style and way of delivery.
 */
import * as BlockDevice from "@effect-nbd/block/BlockDevice"
import type { Extent } from "@effect-nbd/block/Extent"
import { Conformance } from "@effect-nbd/conformance"
import { FakeServer, MemoryPipe } from "@effect-nbd/testing"
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

const disk = { name: "disk", size: 1_048_576 * 2 }
/** Where bytes come one by one, each of them costs time. */
const small = { name: "disk", size: 262_144 }
const named = { exportName: "disk", unknownExport: "nothing" } as const

/** An array behind functions that take their time. */
const ofArray = () => {
  const bytes = new Uint8Array(disk.size)
  const later = <A>(act: () => A): Effect.Effect<A> => Effect.zipRight(Effect.yieldNow(), Effect.sync(act))
  const zero = (offset: bigint, length: bigint): Effect.Effect<void> =>
    later(() => void bytes.fill(0, Number(offset), Number(offset + length)))
  return Effect.runSync(BlockDevice.fromFunctions({
    size: BigInt(disk.size),
    readInto: (offset, destination) =>
      later(() => destination.set(bytes.subarray(Number(offset), Number(offset) + destination.byteLength))),
    write: (offset, written) => later(() => bytes.set(written, Number(offset))),
    flush: Effect.void,
    trim: zero,
    writeZeroes: zero,
    extents: (offset, length) =>
      Stream.fromIterableEffect(later(() => {
        const found: Array<Extent> = []
        for (let at = offset; at < offset + length;) {
          const end = (at / 65_536n + 1n) * 65_536n
          const zero = bytes.subarray(Number(at), Number(end)).every((byte) => byte === 0)
          found.push({ offset: at, length: end - at, allocated: !zero, zero })
          at = end
        }
        return found
      }))
  }))
}

type Server = readonly [string, FakeServer.FakeServerConfig, Conformance.Target]

const styles: ReadonlyArray<readonly [string, Partial<FakeServer.FakeServerConfig>]> = [
  ["extended headers", {}],
  ["structured replies", { extendedHeaders: false }],
  ["simple replies", { structuredReplies: false, extendedHeaders: false }]
]

const servers: ReadonlyArray<Server> = [
  ...MemoryPipe.policies.flatMap(([policy, delivery]) =>
    styles.map((
      [style, config]
    ): Server => [`${style}, delivered ${policy}`, { exports: [small], ...config, delivery }, named])
  ),
  ["a second export", { exports: [{ name: "first", size: 512 }, disk] }, named],
  ["extended headers, and nothing else", { exports: [disk], structuredReplies: false }, named],
  ["no meta contexts", { exports: [disk], metaContexts: false }, named],
  ["an export without meta contexts", { exports: [{ ...disk, allocation: false }] }, named],
  ["a device of functions", { exports: [{ name: disk.name, device: ofArray() }] }, named],
  ["reads in many chunks, last one first", {
    exports: [disk],
    chunkSize: 1000,
    chunkOrder: "Descending",
    endWithNone: true
  }, named],
  ["structured replies in many chunks, last one first", {
    exports: [disk],
    extendedHeaders: false,
    chunkSize: 1000,
    chunkOrder: "Descending",
    endWithNone: true
  }, named],
  ["simple acknowledgements", { exports: [disk], extendedHeaders: false, acknowledgements: "Simple" }, named],
  ["one extent at a time", { exports: [disk], maxDescriptors: 1 }, named],
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

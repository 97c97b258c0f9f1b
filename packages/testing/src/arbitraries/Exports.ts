/**
 * Exports and servers, as configs of the fake ones.
 *
 * @since 0.1.0
 */
import type { BlockSize, Capabilities, DirtyBitmapConfig, MemoryExportConfig } from "@effect-nbd/server/ServedExport"
import * as FastCheck from "effect/FastCheck"
import type { FakeServerConfig } from "../FakeServer.ts"
import * as MemoryPipe from "../MemoryPipe.ts"
import { displayText, optional } from "./Fields.ts"

const powerOfTwo = (least: number, most: number): FastCheck.Arbitrary<number> =>
  FastCheck.integer({ min: least, max: most }).map((exponent) => 2 ** exponent)

/**
 * Block size constraints that keep the rules (C-100): a minimum of 1 to 65,536 bytes, a preferred size of 512 to 1 MiB,
 * and a maximum from there up to 32 MiB, or none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const blockSize: FastCheck.Arbitrary<BlockSize> = FastCheck.record({
  minimum: powerOfTwo(0, 16),
  preferred: powerOfTwo(9, 20),
  maximum: FastCheck.oneof(powerOfTwo(9, 25), FastCheck.constant(0xffff_ffff))
}).map(({ maximum, minimum, preferred }) => {
  const atLeast = Math.max(preferred, minimum)
  return { minimum, preferred: atLeast, maximum: Math.max(maximum, atLeast) }
})

/**
 * What exports are to be like.
 *
 * @since 0.1.0
 * @category models
 */
export interface ExportOptions {
  /** Bytes; 1 MiB by default. */
  readonly maxSize?: number
  /** `disk` by default. */
  readonly name?: string
}

/** Bytes that tell where they belong; in a counterexample, a word. */
const numbered = Object.assign((offset: bigint, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  const start = Number(offset % 251n)
  for (let index = 0; index < length; index++) bytes[index] = (start + index) % 251
  return bytes
}, { [FastCheck.toStringMethod]: () => "numbered" })

const capability = FastCheck.boolean()

const capabilities: FastCheck.Arbitrary<Partial<Capabilities>> = FastCheck.record({
  flush: capability,
  fua: capability,
  trim: capability,
  writeZeroes: capability,
  fastZero: capability,
  cache: capability,
  df: capability,
  blockStatusPayload: capability,
  multiConn: capability
}, { requiredKeys: [] })

const bitmaps = (size: number): FastCheck.Arbitrary<ReadonlyArray<DirtyBitmapConfig>> =>
  FastCheck.uniqueArray(
    FastCheck.record({
      name: FastCheck.constantFrom("b0", "b1", "monday"),
      granularity: powerOfTwo(9, 17),
      dirty: FastCheck.array(
        FastCheck.nat({ max: size - 1 }).map((offset) => ({ offset, length: Math.min(4096, size - offset) })),
        { maxLength: 3 }
      )
    }),
    { maxLength: 2, selector: ({ name }) => name }
  )

/**
 * An export in memory: any size that is a whole number of its blocks, empty or with content, writable or not, with all
 * capabilities or some, with contexts and bitmaps. What is left out has its default, and values shrink towards that.
 *
 * @since 0.1.0
 * @category constructors
 */
export const exportConfig = (options?: ExportOptions): FastCheck.Arbitrary<MemoryExportConfig> =>
  FastCheck.record({
    size: FastCheck.integer({ min: 1, max: options?.maxSize ?? 1_048_576 }),
    blockSize: optional(blockSize)
  }).chain(({ blockSize: constraints, size: about }) => {
    const minimum = constraints?.minimum ?? 1
    const size = Math.max(1, Math.floor(about / minimum)) * minimum
    return FastCheck.record({
      name: FastCheck.constant(options?.name ?? "disk"),
      size: FastCheck.constant(size),
      ...constraints === undefined ? {} : { blockSize: FastCheck.constant(constraints) },
      content: FastCheck.constant(numbered),
      readOnly: FastCheck.oneof({ weight: 3, arbitrary: FastCheck.constant(false) }, FastCheck.boolean()),
      description: displayText,
      can: capabilities,
      rotational: FastCheck.boolean(),
      allocation: FastCheck.boolean(),
      allocationDepth: FastCheck.boolean(),
      dirtyBitmaps: bitmaps(size)
    }, { requiredKeys: ["name", "size"] })
  })

/**
 * A server that keeps the rules, with one to three exports: `disk` first, which is the default one. Protocol, reply
 * styles, the shape of its replies and the delivery of bytes differ; a delivery that needs a clock is not among them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const serverConfig = (options?: ExportOptions): FastCheck.Arbitrary<FakeServerConfig> =>
  FastCheck.record({
    exports: FastCheck.tuple(
      exportConfig(options),
      FastCheck.subarray(["other", "third"]).chain((names) =>
        FastCheck.tuple(...names.map((name) => exportConfig({ ...options, name })))
      )
    ).map(([first, others]) => [first, ...others]),
    protocol: FastCheck.oneof(
      { weight: 6, arbitrary: FastCheck.constant("newstyle-fixed" as const) },
      { weight: 1, arbitrary: FastCheck.constantFrom("newstyle" as const, "oldstyle" as const) }
    ),
    structuredReplies: FastCheck.boolean(),
    extendedHeaders: FastCheck.boolean(),
    metaContexts: FastCheck.boolean(),
    noZeroes: FastCheck.boolean(),
    requireBlockSize: FastCheck.boolean(),
    chunkSize: powerOfTwo(9, 16),
    chunkOrder: FastCheck.constantFrom("Ascending" as const, "Descending" as const),
    maxDescriptors: FastCheck.constantFrom(1, 2, 65_536),
    endWithNone: FastCheck.boolean(),
    acknowledgements: FastCheck.constantFrom("Structured" as const, "Simple" as const),
    maxPending: FastCheck.constantFrom(1, 8, 256),
    delivery: FastCheck.oneof(
      FastCheck.constantFrom(MemoryPipe.whole, MemoryPipe.bytes, MemoryPipe.coalesced),
      FastCheck.nat({ max: 0xffff }).map(MemoryPipe.random)
    )
  }, { requiredKeys: ["exports"] })

/**
 * Requests to a given export: such as it takes, and such as nobody should send it.
 *
 * @since 0.1.0
 */
import * as FastCheck from "effect/FastCheck"

/**
 * The commands, by the names of the calls that send them.
 *
 * @since 0.1.0
 * @category models
 */
export type Command =
  | "read"
  | "readInto"
  | "readBorrowed"
  | "write"
  | "trim"
  | "writeZeroes"
  | "cache"
  | "blockStatus"
  | "flush"

/**
 * It reads, and sends a `NBD_CMD_READ`.
 *
 * @since 0.1.0
 * @category guards
 */
export const isRead = (command: Command): boolean =>
  command === "read" || command === "readInto" || command === "readBorrowed"

/**
 * @since 0.1.0
 * @category models
 */
export interface Request {
  readonly command: Command
  /** 0 for a flush, and so is `length`. */
  readonly offset: bigint
  readonly length: number
}

/**
 * What requests are made for. The config of a fake export is one, and so is an export that was connected to.
 *
 * @since 0.1.0
 * @category models
 */
export interface Area {
  /** Bytes of the export. */
  readonly size: bigint | number
  /** What offsets and lengths are multiples of; 1 by default. `maximum` is the longest payload in bytes. */
  readonly blockSize?: { readonly minimum: number; readonly maximum?: number } | undefined
  /**
   * Bytes from the start that requests within bounds keep to, so that they meet each other. By default two of three begin
   * in the first 64 blocks, and the others anywhere.
   */
  readonly window?: number | undefined
  /**
   * Longest request in blocks; one half has up to 8 in any case. By default 64 or 512 blocks, as far as these are no more
   * than 64 KiB, nor than the longest payload.
   */
  readonly longest?: number | undefined
}

const ranged = ["read", "readInto", "readBorrowed", "write", "trim", "writeZeroes", "cache", "blockStatus"] as const

/** Blocks in which requests begin that are to meet each other. */
const meeting = 64n

const shapeOf = ({ blockSize, longest, size, window }: Area) => {
  const minimum = blockSize?.minimum ?? 1
  const within = window === undefined || BigInt(window) > BigInt(size) ? BigInt(size) : BigInt(window)
  const blocks = within / BigInt(minimum)
  const most = Math.min(65_536, blockSize?.maximum ?? 65_536)
  const reaches = longest === undefined
    ? [8, ...[64, 512].filter((reach) => reach * minimum <= most)]
    : [longest]
  const spreads = window === undefined && blocks > meeting ? [meeting, meeting, blocks] : [blocks]
  return { blocks, minimum, reaches, size: BigInt(size), spreads }
}

/**
 * The request lies inside the export, is aligned and not empty. A flush always is.
 *
 * @since 0.1.0
 * @category guards
 */
export const isLegal = (area: Area, { command, length, offset }: Request): boolean => {
  const { minimum, size } = shapeOf(area)
  if (command === "flush") return true
  return length > 0 && offset + BigInt(length) <= size && offset % BigInt(minimum) === 0n && length % minimum === 0
}

/**
 * A request within bounds and aligned. Writes, reads and zeroes come more often than the others. Commands shrink towards `read`,
 * offsets towards 0, lengths towards one block.
 *
 * @since 0.1.0
 * @category constructors
 */
export const request = (area: Area): FastCheck.Arbitrary<Request> => {
  const { blocks, minimum, reaches, spreads } = shapeOf(area)
  const flush = FastCheck.constant<Request>({ command: "flush", offset: 0n, length: 0 })
  if (blocks === 0n) return flush
  const within = FastCheck.record({
    command: FastCheck.oneof(
      FastCheck.constantFrom("read" as const, "write" as const),
      FastCheck.constantFrom("write" as const, "writeZeroes" as const),
      FastCheck.constantFrom(...ranged)
    ),
    at: FastCheck.bigInt({ min: 0n, max: blocks - 1n }),
    spread: FastCheck.constantFrom(...spreads),
    count: FastCheck.nat({ max: Math.max(...reaches) - 1 }),
    reach: FastCheck.constantFrom(8, ...reaches)
  }).map(({ at, command, count, reach, spread }): Request => {
    const block = at % spread
    // The remainder of what is drawn, so that each of them shrinks by itself.
    const length = Math.min(1 + count % reach, Number(blocks - block))
    return { command, offset: block * BigInt(minimum), length: length * minimum }
  })
  return FastCheck.oneof({ weight: 12, arbitrary: within }, { weight: 1, arbitrary: flush })
}

/**
 * Requests within bounds and aligned, up to `maxLength` of them; 20 by default.
 *
 * @since 0.1.0
 * @category constructors
 */
export const requests = (
  area: Area,
  options?: { readonly maxLength?: number }
): FastCheck.Arbitrary<ReadonlyArray<Request>> =>
  FastCheck.array(request(area), { maxLength: options?.maxLength ?? 20, size: "max" })

/**
 * A request that must not be sent: empty, unaligned where there is something to align to, or outside the export, by a
 * little or by so much that its end overflows 64 bits.
 *
 * @since 0.1.0
 * @category constructors
 */
export const strayRequest = (area: Area): FastCheck.Arbitrary<Request> => {
  const { minimum, size } = shapeOf(area)
  const nearly = FastCheck.integer({ min: 1, max: 3 })
  const inside = FastCheck.bigInt({ min: 0n, max: size / BigInt(minimum) }).map((block) => block * BigInt(minimum))
  const ranges: ReadonlyArray<FastCheck.Arbitrary<Omit<Request, "command">>> = [
    FastCheck.record({ offset: inside, length: FastCheck.constant(0) }),
    // It begins inside, or where the export ends, and goes on beyond.
    nearly.map((blocks) => {
      const before = BigInt(blocks - 1) * BigInt(minimum)
      return { offset: size > before ? size - before : size, length: blocks * minimum }
    }),
    FastCheck.record({
      offset: nearly.map((blocks) => size + BigInt(blocks * minimum)),
      length: nearly.map((blocks) => blocks * minimum)
    }),
    nearly.map((blocks) => ({ offset: 2n ** 64n - BigInt(blocks * minimum), length: (blocks + 1) * minimum })),
    ...(minimum > 1 && size >= 2 * minimum
      ? [
        FastCheck.integer({ min: 1, max: minimum - 1 }).map((length) => ({ offset: 0n, length })),
        FastCheck.integer({ min: 1, max: minimum - 1 }).map((offset) => ({ offset: BigInt(offset), length: minimum }))
      ]
      : [])
  ]
  return FastCheck.record({ command: FastCheck.constantFrom(...ranged), range: FastCheck.oneof(...ranges) })
    .map(({ command, range }): Request => ({ command, ...range }))
    .filter((stray) => !isLegal(area, stray))
}

/**
 * An export as it is named on the command line: `NAME`, or `NAME,size=1G,read-only,bitmap=monday`, and what holds for all
 * of them where it says nothing.
 *
 * @since 0.1.0
 */
import type { BlockDevice } from "@effect-nbd/block/BlockDevice"
import type { BlockSize, Capabilities, ExportConfig, ExportOptions } from "@effect-nbd/server/ServedExport"
import * as BlockSizes from "./BlockSize.ts"
import * as Size from "./Size.ts"

/**
 * What is said of an export; `undefined` is left to the options that hold for all.
 *
 * @since 0.1.0
 * @category models
 */
export interface ExportSpec {
  readonly name: string
  readonly size: bigint | undefined
  /** A path; in memory where there is none. */
  readonly file: string | undefined
  readonly readOnly: boolean | undefined
  readonly description: string | undefined
  readonly blockSize: BlockSize | undefined
  readonly allocationDepth: boolean | undefined
  readonly bitmaps: ReadonlyArray<string>
  readonly tlsOnly: boolean
  readonly rotational: boolean
  /** What it is not to offer, which it would otherwise. */
  readonly without: ReadonlyArray<keyof Capabilities>
}

/**
 * The export that there is where none is named.
 *
 * @since 0.1.0
 * @category constants
 */
export const unnamed: ExportSpec = {
  name: "",
  size: undefined,
  file: undefined,
  readOnly: undefined,
  description: undefined,
  blockSize: undefined,
  allocationDepth: undefined,
  bitmaps: [],
  tlsOnly: false,
  rotational: false,
  without: []
}

/** Words after the name that have no value, and take something away. */
const withouts: ReadonlyMap<string, keyof Capabilities> = new Map(Object.entries(
  {
    "no-flush": "flush",
    "no-fua": "fua",
    "no-trim": "trim",
    "no-zero": "writeZeroes",
    "no-fast-zero": "fastZero",
    "no-cache": "cache",
    "no-df": "df",
    "no-multi-conn": "multiConn"
  } as const
))

type Draft = { -readonly [Field in keyof ExportSpec]: ExportSpec[Field] }

const flags: ReadonlyMap<string, (draft: Draft) => void> = new Map(Object.entries({
  "read-only": (draft: Draft) => {
    draft.readOnly = true
  },
  writable: (draft: Draft) => {
    draft.readOnly = false
  },
  "allocation-depth": (draft: Draft) => {
    draft.allocationDepth = true
  },
  "tls-only": (draft: Draft) => {
    draft.tlsOnly = true
  },
  rotational: (draft: Draft) => {
    draft.rotational = true
  }
}))

/** What offsets into files have, and so what other programs can do with. */
const longestSize = 2n ** 63n - 1n

/**
 * The size of an export in bytes, 2^63 - 1 at most, or what is wrong with it.
 *
 * @since 0.1.0
 * @category decoding
 */
export const parseSize = (text: string): bigint | string => {
  const size = Size.parse(text)
  if (size === undefined) return "not a size, such as 64M"
  return size > longestSize ? `an export can have ${longestSize} bytes at most` : size
}

/** Those with a value: what is wrong with it, or `undefined`. */
const values: ReadonlyMap<string, (draft: Draft, value: string) => string | undefined> = new Map(Object.entries({
  size: (draft: Draft, value: string) => {
    const size = parseSize(value)
    if (typeof size === "string") return size
    draft.size = size
    return undefined
  },
  file: (draft: Draft, value: string) => {
    draft.file = value
    return value === "" ? "a path is missing" : undefined
  },
  description: (draft: Draft, value: string) => {
    draft.description = value
    return undefined
  },
  "block-size": (draft: Draft, value: string) => {
    const found = BlockSizes.parse(value.replaceAll(":", ","))
    if (typeof found === "string") return found
    draft.blockSize = found
    return undefined
  },
  bitmap: (draft: Draft, value: string) => {
    draft.bitmaps = [...draft.bitmaps, value]
    return undefined
  }
}))

/**
 * Reads one; a text says what is wrong with it. Words stand between commas, and a comma inside one is doubled, as in
 * qemu's options.
 *
 * @since 0.1.0
 * @category decoding
 */
export const parse = (text: string): ExportSpec | string => {
  const [name = "", ...words] = split(text)
  const draft: Draft = { ...unnamed, name }
  for (const word of words) {
    const at = word.indexOf("=")
    const key = at === -1 ? word : word.slice(0, at)
    const without = withouts.get(key)
    const [flag, value] = [flags.get(key), values.get(key)]
    if (at === -1 && flag !== undefined) flag(draft)
    else if (at === -1 && without !== undefined) draft.without = [...draft.without, without]
    else if (at !== -1 && value !== undefined) {
      const wrong = value(draft, word.slice(at + 1))
      if (wrong !== undefined) return `${word}: ${wrong}`
    } else return `${word}: expected one of ${vocabulary.join(", ")}`
  }
  return draft.file !== undefined && draft.size !== undefined ? "a file has its own size" : draft
}

const vocabulary = [...[...values.keys()].map((key) => `${key}=…`), ...flags.keys(), ...withouts.keys()]

const split = (text: string): ReadonlyArray<string> => {
  const words = [""]
  for (const [part] of text.matchAll(/,,|,|[^,]+/g)) {
    if (part === ",") words.push("")
    else words[words.length - 1] += part === ",," ? "," : part
  }
  return words
}

/**
 * What holds for every export that says nothing else.
 *
 * @since 0.1.0
 * @category models
 */
export interface Defaults {
  readonly size: bigint
  readonly readOnly: boolean
  readonly description: string
  readonly blockSize: BlockSize | undefined
  readonly allocationDepth: boolean
  readonly bitmaps: ReadonlyArray<string>
}

/**
 * The export as the server wants it. `file` is the device of one that has a file. Bitmaps add to those of all.
 *
 * @since 0.1.0
 * @category constructors
 */
export const configOf = (spec: ExportSpec, defaults: Defaults, file?: BlockDevice<unknown>): ExportConfig => {
  const blockSize = spec.blockSize ?? defaults.blockSize
  const cannot = Object.fromEntries(spec.without.map((ability) => [ability, false]))
  const options: ExportOptions = {
    name: spec.name,
    readOnly: spec.readOnly ?? defaults.readOnly,
    description: spec.description ?? defaults.description,
    ...blockSize === undefined ? {} : { blockSize },
    allocationDepth: spec.allocationDepth ?? defaults.allocationDepth,
    tlsOnly: spec.tlsOnly,
    rotational: spec.rotational,
    dirtyBitmaps: [...defaults.bitmaps, ...spec.bitmaps].map((name) => ({ name })),
    // What is written to a file is there for every connection at once.
    can: { ...file === undefined ? {} : { multiConn: true }, ...cannot }
  }
  return file === undefined ? { ...options, size: spec.size ?? defaults.size } : { ...options, device: file }
}

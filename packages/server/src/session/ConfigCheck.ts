/**
 * What is wrong with the configuration of a server, in words.
 *
 * It looks for what could not be served as it was meant. Block sizes are left alone: a test may advertise senseless ones.
 *
 * @since 0.1.0
 */
import { encodeText, maxStringBytes } from "@effect-nbd/core/wire/Bytes"
import { type ExportConfig, ServedExport } from "../ServedExport.ts"
import type { ServerConfig } from "./ServerConfig.ts"

/**
 * The first fault, or `undefined` where there is none.
 *
 * @since 0.1.0
 * @category guards
 */
export const faultOf = (config: ServerConfig): string | undefined => {
  const { exports } = config
  for (const each of exports) {
    const { name } = each
    const size = each instanceof ServedExport || each.device === undefined ? each.size : each.device.size
    if (!isSize(size)) return `the export ${inQuotes(name)} has ${size} bytes; it can have from 0 to 2^64 - 1`
  }
  const again = repeated(exports.map(({ name }) => name))
  if (again !== undefined) return `there are several exports called ${inQuotes(again)}`
  for (const each of exports) {
    const fault = faultOfTexts(each)
    if (fault !== undefined) return `the export ${inQuotes(each.name)}: ${fault}`
  }
  for (const field of counts) {
    const count = config[field]
    if (count !== undefined && !isCount(count)) return `${field} is ${count}; it has to be a whole number from 1`
  }
  return undefined
}

const counts = ["chunkSize", "maxDescriptors", "maxPending", "maxSessions", "memory"] as const

const isCount = (count: number): boolean => Number.isInteger(count) && count >= 1

const isSize = (size: bigint | number): boolean =>
  typeof size === "bigint" ? size >= 0n && size < 2n ** 64n : Number.isSafeInteger(size) && size >= 0

const faultOfTexts = (served: ExportConfig | ServedExport): string | undefined => {
  const { canonicalName, description, name } = served
  for (const text of [name, canonicalName ?? name, description ?? ""]) {
    const { byteLength } = encodeText(text)
    if (byteLength > maxStringBytes) {
      return `a string may have ${maxStringBytes} bytes, and one of its has ${byteLength}`
    }
  }
  const again = repeated(contextsOf(served))
  return again === undefined ? undefined : `there are several meta contexts called ${inQuotes(again)}`
}

const contextsOf = (served: ExportConfig | ServedExport): ReadonlyArray<string> =>
  served instanceof ServedExport
    ? served.contexts.map(({ name }) => name)
    : [
      ...(served.dirtyBitmaps ?? []).map(({ name }) => `qemu:dirty-bitmap:${name}`),
      ...(served.contexts ?? []).map(({ name }) => name)
    ]

const repeated = (names: ReadonlyArray<string>): string | undefined =>
  names.find((name, at) => names.indexOf(name) !== at)

const inQuotes = (name: string): string => JSON.stringify(name)

/**
 * The messages of NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT.
 *
 * @since 0.1.0
 */
import { concat, decodeText, encodeText, maxStringBytes, viewOf } from "./Bytes.ts"
import { WireError } from "./WireError.ts"

/**
 * The data of both options.
 *
 * @since 0.1.0
 * @category models
 */
export interface MetaContextRequest {
  readonly exportName: string
  /** Names, or in a list also patterns such as `base:`. None in a list asks for all. */
  readonly queries: ReadonlyArray<string>
}

/**
 * @since 0.1.0
 * @category encoding
 */
export const encodeMetaContextRequest = (request: MetaContextRequest): Uint8Array =>
  concat([
    ...lengthAndText(request.exportName),
    u32(request.queries.length),
    ...request.queries.flatMap(lengthAndText)
  ])

/**
 * The queries must fill the data exactly. How many there may be is bounded by the data, of which each takes 4 bytes at
 * least.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeMetaContextRequest = (data: Uint8Array): MetaContextRequest | WireError => {
  const rule = "NBD_OPT_SET_META_CONTEXT"
  const view = viewOf(data)
  let at = 0
  const text = (): string | WireError => {
    const left = data.byteLength - at
    if (left < 4) return new WireError("4 bytes of length", `${left} bytes`, rule)
    const length = view.getUint32(at)
    if (length > left - 4) return new WireError(`a string of at most ${left - 4} bytes`, `${length} bytes`, rule)
    if (length > maxStringBytes) return new WireError("a string of at most 4096 bytes", `${length} bytes`, "C-003")
    at += 4 + length
    return decodeText(data.subarray(at - length, at))
  }
  const exportName = text()
  if (typeof exportName !== "string") return exportName
  if (data.byteLength - at < 4) return new WireError("4 bytes of count", `${data.byteLength - at} bytes`, rule)
  const count = view.getUint32(at)
  at += 4
  if (count > (data.byteLength - at) / 4) {
    return new WireError(`at most ${Math.floor((data.byteLength - at) / 4)} queries`, `${count}`, rule)
  }
  const queries: Array<string> = []
  for (let index = 0; index < count; index++) {
    const query = text()
    if (typeof query !== "string") return query
    queries.push(query)
  }
  return at === data.byteLength
    ? { exportName, queries }
    : new WireError("no byte after the last query", `${data.byteLength - at} bytes`, rule)
}

/**
 * The payload of NBD_REP_META_CONTEXT.
 *
 * @since 0.1.0
 * @category models
 */
export interface MetaContextReply {
  /** Names the context in status chunks; without meaning in a list (C-114, C-115). */
  readonly id: number
  readonly name: string
}

/**
 * @since 0.1.0
 * @category encoding
 */
export const encodeMetaContextReply = ({ id, name }: MetaContextReply): Uint8Array =>
  concat([u32(id), encodeText(name)])

/**
 * A name has at least one byte and at most 4096.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeMetaContextReply = (payload: Uint8Array): MetaContextReply | WireError =>
  payload.byteLength > 4 && payload.byteLength <= 4 + maxStringBytes
    ? { id: viewOf(payload).getUint32(0), name: decodeText(payload.subarray(4)) }
    : new WireError(
      "4 bytes of id and a name of 1 to 4096",
      `${payload.byteLength} bytes`,
      "NBD_REP_META_CONTEXT, C-003"
    )

const u32 = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4)
  viewOf(bytes).setUint32(0, value)
  return bytes
}

const lengthAndText = (text: string): ReadonlyArray<Uint8Array> => {
  const bytes = encodeText(text)
  return [u32(bytes.byteLength), bytes]
}

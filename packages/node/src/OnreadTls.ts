/**
 * TLS read into one buffer, as `onread` has it for plain sockets.
 *
 * Node.js makes a buffer for each record of 16 KiB, and its collector has more work with them than OpenSSL with the
 * records: 1.9 ms of processor time for a MiB in reads of 256 KiB, against 1.1 ms in this way. `tls.connect` knows
 * `onread` too, but not over a socket that is open already. What it would do is done here: a TLS socket is a `net.Socket`
 * and reads by the same code, which looks at two fields of the socket to see where to. Where they are not found, nothing
 * is changed, and 'data' events do.
 *
 * @since 0.1.0
 * @internal
 */
import * as net from "node:net"
import type { TLSSocket } from "node:tls"

interface Fields {
  readonly buffer: symbol
  readonly callback: symbol
}

/** The fields by which a socket that was made with `onread` has its buffer and callback. */
const fieldsOf = (): Fields | undefined => {
  const onread = { buffer: new Uint8Array(1), callback: () => true }
  // Only the types of `net.connect` know that `onread` is an option of the socket itself.
  const options = { allowHalfOpen: true, onread }
  const model = new net.Socket(options)
  const holding = (value: unknown) =>
    Object.getOwnPropertySymbols(model).find((field) => Reflect.get(model, field) === value)
  const buffer = holding(onread.buffer)
  const callback = holding(onread.callback)
  return buffer === undefined || callback === undefined ? undefined : { buffer, callback }
}

let known: { readonly fields: Fields | undefined } | undefined

interface Handle {
  readonly useUserBuffer: (buffer: Uint8Array) => void
}

const canUseBuffer = (handle: unknown): handle is Handle =>
  typeof handle === "object" && handle !== null && "useUserBuffer" in handle &&
  typeof handle.useUserBuffer === "function"

/**
 * Has the socket read into the buffer from now on and call back with how many bytes it has read; `false` from there
 * stops it until `resume`. Gives `false` where that cannot be had. What was read before is still in the socket.
 *
 * @since 0.1.0
 * @category constructors
 */
export const readInto = (socket: TLSSocket, buffer: Uint8Array, callback: (length: number) => boolean): boolean => {
  known ??= { fields: fieldsOf() }
  const { fields } = known
  const handle: unknown = Reflect.get(socket, "_handle")
  if (fields === undefined || !canUseBuffer(handle)) return false
  if (Reflect.get(socket, fields.buffer) !== null || Reflect.get(socket, fields.callback) !== null) return false
  Reflect.set(socket, fields.buffer, buffer)
  Reflect.set(socket, fields.callback, callback)
  handle.useUserBuffer(buffer)
  return true
}

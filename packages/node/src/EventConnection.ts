/**
 * Node streams as a core `Connection`, by 'data' events held back by `pause`, without TLS.
 *
 * @since 0.1.0
 * @internal
 */
import * as Delivery from "./Delivery.ts"
import * as StreamConnection from "./StreamConnection.ts"

/**
 * @since 0.1.0
 * @category constructors
 */
export const attach = (options: StreamConnection.Options): StreamConnection.Attached => {
  const { readable } = options
  const delivery = Delivery.make({ pause: () => readable.pause(), resume: () => readable.resume() })
  const onData = (chunk: Uint8Array): void => {
    // Plain bytes, since `slice` of a Buffer does not copy. A program's exit makes Node resume its stdout, so bytes
    // can come while they are held back: they are kept, and the stream is paused again.
    delivery.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength))
  }
  readable.pause()
  readable.on("data", onData)
  return StreamConnection.attach(options, delivery, () => readable.off("data", onData))
}

/**
 * A span for every command, for those who want to see them.
 *
 * Chosen once, when the handle is made: a span costs more than a read of 4 KiB does, so that a handle that is not traced
 * must not even ask.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { SpanOptions } from "effect/Tracer"
import { operationOf, type Request } from "../Request.ts"
import type { Dispatch } from "./Dispatch.ts"

/**
 * The same dispatch, each request in a span `nbd.read`, `nbd.write`, … with its offset and length in bytes. What fails is
 * the span's failure. The span of a read of borrowed bytes is over when they are lent: what is done with them is beside
 * it.
 *
 * @since 0.1.0
 * @category tracing
 */
export const traced = <R>(dispatch: Dispatch<R>): Dispatch<R> => (request) =>
  Effect.withSpan(dispatch(request), `nbd.${operationOf(request)}`, optionsOf(request))

/**
 * A stream of extents in a span `nbd.extents`, around those of its requests.
 *
 * @since 0.1.0
 * @category tracing
 */
export const tracedExtents = <A, E>(extents: Stream.Stream<A, E>): Stream.Stream<A, E> =>
  Stream.withSpan(extents, "nbd.extents", { kind: "client" })

const optionsOf = (request: Request): SpanOptions => ({
  kind: "client",
  attributes: request._tag === "Flush" ? {} : { "nbd.offset": request.offset, "nbd.length": request.length }
})

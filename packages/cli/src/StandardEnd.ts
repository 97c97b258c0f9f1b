/**
 * Standard input and standard output as ends of a copy: streams, which have no positions and no size. What is asked for
 * waits until it is its turn, so that bytes keep their order however many requests are in flight.
 *
 * @since 0.1.0
 */
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type BlockSize, lending, type Sink, type Source } from "./CopyEnds.ts"
import { FileError } from "./FileCalls.ts"
import * as Output from "./Output.ts"
import * as WrittenZeroes from "./WrittenZeroes.ts"

const blockSize: BlockSize = { minimum: 1, preferred: 4096, maximum: 0x4000_0000 }

/** Runs what is for a range when all ranges before it are done. Ranges have no gaps and do not overlap. */
const inOrder = () => {
  let at = 0n
  const waiting = new Map<bigint, Deferred.Deferred<void>>()
  return <A, E>(offset: bigint, length: number, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const turn = Deferred.unsafeMake<void>(FiberId.none)
      if (offset !== at) waiting.set(offset, turn)
      return Effect.tap(offset === at ? effect : Effect.zipRight(Deferred.await(turn), effect), () => {
        at = offset + BigInt(length)
        const next = waiting.get(at)
        waiting.delete(at)
        return next === undefined ? Effect.void : Deferred.succeed(next, undefined)
      })
    })
}

/**
 * Standard input, up to its end. It is no longer read when the scope closes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const source: Effect.Effect<Source, never, Scope.Scope> = Effect.gen(function*() {
  const name = "standard input"
  const pull = yield* Stream.toPull(
    NodeStream.fromReadable<FileError>(
      () => process.stdin,
      (error) => new FileError({ operation: "read", path: name, code: Output.codeOf(error), reason: String(error) })
    )
  )
  const inTurn = inOrder()
  let rest: ReadonlyArray<Uint8Array> = []
  let isOver = false
  const fill = (destination: Uint8Array): Effect.Effect<number, FileError> => {
    let count = 0
    const take = (bytes: Uint8Array): void => {
      const taken = bytes.subarray(0, destination.byteLength - count)
      destination.set(taken, count)
      count += taken.byteLength
      rest = taken.byteLength === bytes.byteLength
        ? rest.slice(1)
        : [bytes.subarray(taken.byteLength), ...rest.slice(1)]
    }
    const more = Effect.matchEffect(pull, {
      onSuccess: (chunks) =>
        Effect.sync(() => {
          rest = Chunk.toReadonlyArray(chunks)
        }),
      onFailure: Option.match({
        onNone: () =>
          Effect.sync(() => {
            isOver = true
          }),
        onSome: Effect.fail
      })
    })
    return Effect.whileLoop({
      while: () => count < destination.byteLength && !isOver,
      body: () => {
        const [first] = rest
        return first === undefined ? more : Effect.sync(() => take(first))
      },
      step: () => {}
    }).pipe(Effect.map(() => count))
  }
  return {
    name,
    size: undefined,
    blockSize,
    extents: undefined,
    read: lending((offset, destination) =>
      inTurn(offset, destination.byteLength, Effect.suspend(() => fill(destination)))
    )
  }
})

/**
 * Standard output. It has every byte, zeroes too.
 *
 * @since 0.1.0
 * @category constructors
 */
export const sink: Effect.Effect<Sink> = Effect.sync(() => {
  const inTurn = inOrder()
  const zero = WrittenZeroes.by((_, bytes) => Output.write(bytes))
  return {
    name: "standard output",
    capacity: undefined,
    blockSize,
    prepare: () => Effect.void,
    write: (offset, bytes) => inTurn(offset, bytes.byteLength, Output.write(bytes)),
    zero: (offset, length) => inTurn(offset, Number(length), zero(offset, length)),
    finish: () => Effect.void,
    flush: Effect.void
  }
})

/**
 * Standard input and standard output as ends of a copy: streams, which have no positions and no size. What is asked for
 * waits until it is its turn, so that bytes keep their order however many requests are in flight.
 *
 * @since 0.1.0
 */
import * as FileCalls from "@effect-nbd/node/file/FileCalls"
import { NotRegularFileError } from "@effect-nbd/node/file/RegularFile"
import * as WrittenZeroes from "@effect-nbd/node/file/WrittenZeroes"
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Chunk from "effect/Chunk"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
import { type BlockSize, inOrder, lending, type Sink, type Source } from "./CopyEnds.ts"
import * as Output from "./Output.ts"

const blockSize: BlockSize = { minimum: 1, preferred: 4096, maximum: 0x4000_0000 }

/**
 * Standard input or output is closed, as by `<&-` and `>&-` of a shell.
 *
 * @since 0.1.0
 * @category errors
 */
export class StandardClosedError extends Data.TaggedError("StandardClosedError")<{
  readonly which: "input" | "output"
}> {
  override get message(): string {
    const instead = this.which === "output"
      ? ", or /dev/null opened for reading as well; null: is for only reading"
      : ""
    return `standard ${this.which} is closed${instead}`
  }
}

/**
 * Node opens /dev/null, for reading and writing, for whichever of its standard descriptors is closed; a shell opens it for
 * one of them. Where that cannot be told they count as open.
 */
const requireOpen = (which: StandardClosedError["which"]): Effect.Effect<void, StandardClosedError> =>
  Effect.suspend(() => {
    const fd = which === "input" ? 0 : 1
    return isNullForBoth(fd) ? Effect.fail(new StandardClosedError({ which })) : Effect.void
  })

const isNullForBoth = (fd: number): boolean => {
  try {
    const [found, nothing] = [fs.fstatSync(fd), fs.statSync("/dev/null")]
    if (!found.isCharacterDevice() || found.rdev !== nothing.rdev) return false
    const flags = /^flags:\s*([0-7]+)$/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1]
    return flags !== undefined && (parseInt(flags, 8) & accessMode) === fs.constants.O_RDWR
  } catch {
    return false
  }
}

/** The bits of open(2)'s flags that tell what may be done. */
const accessMode = 3

/**
 * Standard input, up to its end. It is no longer read when the scope closes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const source: Effect.Effect<
  Source,
  StandardClosedError | NotRegularFileError,
  Scope.Scope
> = Effect.gen(function*() {
  const name = "standard input"
  yield* requireOpen("input")
  if (fs.fstatSync(0).isDirectory()) return yield* new NotRegularFileError({ path: name, found: "directory" })
  const pull = yield* Stream.toPull(
    NodeStream.fromReadable<FileCalls.FileError>(
      () => process.stdin,
      (error) => FileCalls.failure("read", name, error)
    )
  )
  const inTurn = inOrder()
  let rest: ReadonlyArray<Uint8Array> = []
  let isOver = false
  const fill = (destination: Uint8Array): Effect.Effect<number, FileCalls.FileError> => {
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
    geometry: { ...blockSize, canExtents: false },
    extents: () => Stream.empty,
    readBorrowed: lending((offset, destination) =>
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
export const sink: Effect.Effect<Sink, StandardClosedError> = Effect.gen(function*() {
  yield* requireOpen("output")
  const inTurn = inOrder()
  const zero = WrittenZeroes.by((_, bytes) => Output.write(bytes))
  return {
    name: "standard output",
    size: undefined,
    geometry: { ...blockSize, canZero: true },
    write: (offset, bytes) => inTurn(offset, bytes.byteLength, Output.write(bytes)),
    writeZeroes: (offset, length) => inTurn(offset, length, zero(offset, length)),
    flush: Effect.void,
    // To close a file is when some systems tell that it could not be written.
    settle: fs.fstatSync(1).isFile()
      ? FileCalls.call<void>("close", "standard output", (done) => fs.close(1, (error) => done(error ?? null)))
      : Effect.void
  }
})

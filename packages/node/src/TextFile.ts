/**
 * Reading files of credentials, with the part they are in the error.
 *
 * @since 0.1.0
 * @internal
 */
import { TlsCredentialsError } from "@effect-nbd/core/TlsError"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import { codeOf } from "./StreamConnection.ts"

type Part = TlsCredentialsError["part"]

/**
 * How long a file of credentials may be, in bytes. A list of all authorities of the web has a quarter of a MiB.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxBytes = 16_777_216

/**
 * The text of a file: a regular one, since to open a FIFO waits for somebody to write, and no longer than 16 MiB.
 *
 * @since 0.1.0
 * @category constructors
 */
export const read = (part: Part, file: string): Effect.Effect<string, TlsCredentialsError> => {
  const unusable = (reason: string) => new TlsCredentialsError({ part, file, reason })
  return Effect.flatMap(
    Effect.tryPromise({ try: () => textOf(file), catch: (error) => unusable(codeOf(error)) }),
    (text) => typeof text === "string" ? Effect.succeed(text) : Effect.fail(unusable(text.reason))
  )
}

/** It closes the file also where its caller has stopped waiting. */
const textOf = async (name: string): Promise<string | { readonly reason: string }> => {
  const file = await fs.promises.open(name, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
  try {
    const status = await file.stat()
    if (!status.isFile()) return { reason: status.isDirectory() ? "EISDIR" : "it is not a regular file" }
    const chunks: Array<Buffer> = []
    // It may grow while it is read: what counts is what was read of it.
    for (let length = 0; length <= maxBytes;) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(chunkBytes))
      if (bytesRead === 0) return Buffer.concat(chunks).toString("utf8")
      chunks.push(buffer.subarray(0, bytesRead))
      length += bytesRead
    }
    return { reason: `it has more than ${maxBytes / 1_048_576} MiB` }
  } finally {
    await file.close()
  }
}

const chunkBytes = 65_536

/**
 * What is in a directory.
 *
 * @since 0.1.0
 * @category constructors
 */
export const namesIn = (directory: string): Effect.Effect<ReadonlySet<string>, TlsCredentialsError> =>
  Effect.tryPromise({
    try: async () => new Set(await fs.promises.readdir(directory)),
    catch: (error) => new TlsCredentialsError({ part: "Directory", file: directory, reason: codeOf(error) })
  })

/**
 * Whether a file can be read.
 *
 * @since 0.1.0
 * @category guards
 */
export const isReadable = (file: string): Effect.Effect<boolean> =>
  Effect.promise(() => fs.promises.access(file, fs.constants.R_OK).then(() => true, () => false))

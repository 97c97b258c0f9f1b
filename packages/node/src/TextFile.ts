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
 * The text of a file.
 *
 * @since 0.1.0
 * @category constructors
 */
export const read = (part: Part, file: string): Effect.Effect<string, TlsCredentialsError> =>
  Effect.tryPromise({
    try: (signal) => fs.promises.readFile(file, { encoding: "utf8", signal }),
    catch: (error) => new TlsCredentialsError({ part, file, reason: codeOf(error) })
  })

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

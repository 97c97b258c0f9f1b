/**
 * A folder that only this user can enter, for sockets.
 *
 * @since 0.1.0
 * @internal
 */
import { SocketFolderError } from "@effect-nbd/core/TransportError"
import { UnknownException } from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as AtExit from "./AtExit.ts"
import { codeOf } from "./StreamConnection.ts"
import * as UnixPath from "./UnixPath.ts"

/**
 * Longest name, in bytes, of a socket in the folder.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxNameBytes = 8

/**
 * In the system's folder for temporary files, or, where a socket's path would be too long there, in /tmp. Removed with the
 * scope, with all that is in it; or else when the process exits.
 *
 * @since 0.1.0
 * @category constructors
 */
export const privateFolder: Effect.Effect<string, SocketFolderError, Scope.Scope> = Effect.acquireRelease(
  Effect.suspend(() => {
    const within = temporary()
    return Effect.mapError(
      Effect.try(() => {
        const folder = fs.mkdtempSync(path.join(within, "nbd-"))
        return { folder, forget: AtExit.remove(folder) }
      }),
      notMade(within)
    )
  }),
  ({ folder, forget }) =>
    Effect.sync(() => {
      fs.rmSync(folder, { recursive: true, force: true })
      forget()
    })
).pipe(Effect.map(({ folder }) => folder))

const temporary = (): string => {
  const folder = os.tmpdir()
  const longest = Buffer.byteLength(path.join(folder, "nbd-XXXXXX/")) + maxNameBytes
  return longest <= UnixPath.maxBytes ? folder : "/tmp"
}

/**
 * What went wrong with the folder, or with a socket in it, as the error of a transport.
 *
 * @since 0.1.0
 * @category errors
 */
export const notMade = (folder: string) => (thrown: unknown): SocketFolderError => {
  const cause = thrown instanceof UnknownException ? thrown.error : thrown
  return new SocketFolderError({ folder, code: codeOf(cause), cause })
}

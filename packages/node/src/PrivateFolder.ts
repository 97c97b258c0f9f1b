/**
 * A folder that only this user can enter, for sockets.
 *
 * @since 0.1.0
 * @internal
 */
import type { UnknownException } from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as AtExit from "./AtExit.ts"

/**
 * Longest path in bytes of a Unix socket: with its closing NUL it has to fit `sun_path`. Node cuts longer ones, and
 * would put the socket somewhere else.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxSocketPathBytes = 107

/**
 * Longest name, in bytes, of a socket in the folder.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxNameBytes = 8

/**
 * Removed with the scope, with all that is in it; or else when the process exits. Fails with what the system said.
 *
 * @since 0.1.0
 * @category constructors
 */
export const privateFolder: Effect.Effect<string, UnknownException, Scope.Scope> = Effect.acquireRelease(
  Effect.try(() => {
    const inTemporary = path.join(os.tmpdir(), "nbd-")
    const longest = Buffer.byteLength(inTemporary) + "XXXXXX/".length + maxNameBytes
    const folder = fs.mkdtempSync(longest <= maxSocketPathBytes ? inTemporary : "/tmp/nbd-")
    return { folder, forget: AtExit.remove(folder) }
  }),
  ({ folder, forget }) =>
    Effect.sync(() => {
      fs.rmSync(folder, { recursive: true, force: true })
      forget()
    })
).pipe(Effect.map(({ folder }) => folder))

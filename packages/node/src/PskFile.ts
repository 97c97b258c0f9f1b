/**
 * Files of pre-shared keys as psktool writes them: lines of `user:key`, the key in hexadecimal. A user whose name is not
 * plain text is written in hexadecimal behind a number sign.
 *
 * @since 0.1.0
 * @internal
 */
import { TlsCredentialsError } from "@effect-nbd/core/TlsError"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TextFile from "./TextFile.ts"

/**
 * The keys of all users; the first line of a user counts. A line that is none is an error, by its number.
 *
 * @since 0.1.0
 * @category constructors
 */
export const read = (
  file: string
): Effect.Effect<ReadonlyMap<string, Redacted.Redacted<Uint8Array>>, TlsCredentialsError> =>
  Effect.flatMap(TextFile.read("Psk", file), (text) =>
    Effect.suspend(() => {
      const keys = new Map<string, Redacted.Redacted<Uint8Array>>()
      for (const [index, line] of text.split(/\r?\n/).entries()) {
        if (line === "") continue
        const [name = "", key = ""] = /^([^:]*):([0-9a-fA-F]+)$/.exec(line)?.slice(1) ?? []
        const username = name.startsWith("#") ? fromHex(name.slice(1))?.toString() : name
        const secret = fromHex(key)
        if (secret === undefined || username === undefined || username === "") {
          const reason = `line ${index + 1} is not a user's name, a colon and a key in hexadecimal`
          return Effect.fail(new TlsCredentialsError({ part: "Psk", file, reason }))
        }
        if (!keys.has(username)) keys.set(username, Redacted.make(new Uint8Array(secret)))
      }
      return Effect.succeed(keys)
    }))

const fromHex = (text: string): Buffer | undefined =>
  text.length > 0 && text.length % 2 === 0 && /^[0-9a-fA-F]*$/.test(text) ? Buffer.from(text, "hex") : undefined

/**
 * What a word on the command line stands for: a server, and to `copy` a file or a stream as well.
 *
 * A word that looks like an address is never a file: whoever misspells one would get a file of that name, and exit code 0.
 *
 * @since 0.1.0
 */
import * as NbdUri from "@effect-nbd/core/NbdUri"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as Address from "./Address.ts"
import * as Brackets from "./Brackets.ts"

/**
 * What SOURCE and DESTINATION may be.
 *
 * @since 0.1.0
 * @category models
 */
export type Operand =
  | { readonly _tag: "Server"; readonly word: string }
  | { readonly _tag: "File"; readonly path: string }
  | { readonly _tag: "Standard" }
  | { readonly _tag: "Null" }

/**
 * `null:`, `-`, a bracket with a program in it, a URI, or else the path of a file. Nothing is opened.
 *
 * Fails for what looks like an address and is no URI, and for the path of a socket, with the URI that was meant. A file
 * whose name looks like an address is written with `./` before it.
 *
 * @since 0.1.0
 * @category decoding
 */
export const operand = (text: string): Effect.Effect<Operand, NbdUri.UriError> => {
  if (text === "null:") return Effect.succeed({ _tag: "Null" })
  if (text === "-") return Effect.succeed({ _tag: "Standard" })
  if (Brackets.parse(text) !== undefined) return Effect.succeed({ _tag: "Server", word: text })
  if (!Address.isLike(text)) {
    return Effect.flatMap(
      kindOf(text),
      (kind) => kind === "socket" ? noUri(text, kind) : Effect.succeed<Operand>({ _tag: "File", path: text })
    )
  }
  return Effect.catchAll(
    Effect.as(uri(text), { _tag: "Server", word: text } as const),
    (error) => withReason(error, `${error.reason}${aboutFiles(text)}`)
  )
}

/** An address has slashes in it, which no name of a file has. */
const aboutFiles = (text: string): string =>
  /^\s*file:/i.test(text)
    ? "; a file is named by its path alone"
    : text.includes("://")
    ? ""
    : `; a file of that name is ./${NbdUri.redact(text)}`

/**
 * A bracket with a program in it, or a URI, as it is. Nothing is opened.
 *
 * Fails for anything else, with the URI that was meant where that is clear.
 *
 * @since 0.1.0
 * @category decoding
 */
export const server = (text: string): Effect.Effect<string, NbdUri.UriError> =>
  Brackets.parse(text) !== undefined
    ? Effect.succeed(text)
    : Address.isLike(text)
    ? uri(text)
    : Effect.flatMap(kindOf(text), (kind) => kind === undefined ? uri(text) : noUri(text, kind))

const uri = (text: string): Effect.Effect<string, NbdUri.UriError> =>
  NbdUri.parse(text).pipe(
    Effect.catchTags({
      NbdUriError: (error) =>
        Effect.flatMap(Address.meant(text), (meant) =>
          meant === undefined ? Effect.fail(error) : withReason(error, `${error.reason}: write ${meant}`)),
      // Whether it can be used is found out where it is.
      NbdUriUnsupportedError: () =>
        Effect.void
    }),
    Effect.as(text)
  )

const withReason = ({ part, uri }: NbdUri.UriError, reason: string): Effect.Effect<never, NbdUri.UriError> =>
  Effect.fail(new NbdUri.UriError({ uri, part, reason }))

type Kind = "socket" | "file"

/** A word that names what is there, and is no URI. */
const noUri = (path: string, kind: Kind): Effect.Effect<never, NbdUri.UriError> =>
  Effect.flatMap(Address.ofSocket(path), (uri) => {
    const named = NbdUri.redact(path)
    const reason = kind === "socket"
      ? `it is a socket: write ${uri ?? "nbd+unix:///?socket=PATH"}`
      : `it is a file, and not a server: write [ nbdkit file ${named} ], for example`
    return Effect.fail(new NbdUri.UriError({ uri: named, part: named, reason }))
  })

/** What is at a path; `undefined` where nothing is, or nothing that can be told of. */
const kindOf = (path: string): Effect.Effect<Kind | undefined> =>
  Effect.async((resume) => {
    fs.stat(path, (error, stats) => {
      resume(
        Effect.succeed(error !== null ? undefined : stats.isSocket() ? "socket" : stats.isFile() ? "file" : undefined)
      )
    })
  })

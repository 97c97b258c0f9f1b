/**
 * `effect-nbd info URI`
 *
 * @since 0.1.0
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Info from "../Info.ts"
import * as InfoReport from "../InfoReport.ts"
import * as Json from "../Json.ts"
import { print } from "../Output.ts"
import { positional } from "./values.ts"

/**
 * Tells what a server says of an export, or of all that it lists.
 *
 * @since 0.1.0
 * @category commands
 */
export const info = Command.make(
  "info",
  {
    uri: positional("URI").pipe(
      Args.withDescription("nbd://HOST[:PORT][/EXPORT] or nbd+unix:///[EXPORT]?socket=PATH")
    ),
    json: Options.boolean("json").pipe(
      Options.withDescription("Print JSON with the fields of nbdinfo --json; errors too are JSON then")
    ),
    list: Options.boolean("list").pipe(
      Options.withAlias("L"),
      Options.withDescription("Tell about every export that the server lists")
    )
  },
  ({ json, list, uri }) =>
    Effect.flatMap(
      list ? Info.ofServer(uri) : Info.ofExport(uri),
      (found) => print(json ? `${Json.format(InfoReport.toJsonObject(found))}\n` : InfoReport.toText(found))
    )
).pipe(Command.withDescription("Tell what a server says of an export"))

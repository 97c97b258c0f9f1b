/**
 * `effect-nbd info --map URI`
 *
 * @since 0.1.0
 */
import * as Handle from "@effect-nbd/core/Handle"
import { Transport } from "@effect-nbd/core/Transport"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Deadline from "../Deadline.ts"
import * as ExtentMap from "../ExtentMap.ts"
import { type Fault, toJson, UsageError } from "../Failure.ts"
import type { InfoMode } from "../InfoMode.ts"
import * as Json from "../Json.ts"
import * as MapReport from "../MapReport.ts"
import { exitWith, print, printPieces } from "../Output.ts"
import * as Paint from "../Paint.ts"
import type { Target } from "../Target.ts"

/**
 * Prints the extents of an export, or what they come to.
 *
 * A map of up to 8 Mi characters is printed when it is complete, or not at all; a longer one as it comes. If that fails
 * in the middle, the text ends there, and JSON with an `error` as the last element of the array.
 *
 * @since 0.1.0
 * @category commands
 */
export const printMap = (
  { exportName, forceExportName = false, handshakeTimeout, transport }: Target,
  { contexts, length, offset, totals }: Extract<InfoMode, { readonly _tag: "Map" }>,
  options: { readonly json: boolean; readonly isColoured: boolean; readonly deadline: Deadline.Deadline }
) =>
  Effect.scoped(Effect.gen(function*() {
    const config = { exportName, forceExportName, handshakeTimeout }
    const connected = yield* Handle.connect({ ...config, metaContexts: contexts }).pipe(
      // Contexts come before exports: there may be no such export either, and that is then what is wrong.
      Effect.catchTag("NbdMetaContextNotGrantedError", (missing) =>
        Effect.zipRight(Handle.connect(config), Effect.fail(missing))),
      Deadline.within(options.deadline)
    )
    const { size } = connected.export
    if (offset > size) {
      return yield* new UsageError({ reason: `--offset ${offset}: the export ends at ${size}` })
    }
    const extents = Deadline.streamWithin(options.deadline)(
      connected.extents({ contexts, offset, length: Option.getOrUndefined(length) })
    )
    const paint = options.isColoured ? Paint.colours : Paint.plain
    if (totals) {
      const left = size - offset
      const covered = Option.match(length, {
        onNone: () =>
          left,
        onSome: (length) => length < left ? length : left
      })
      const found = yield* ExtentMap.totals(extents, contexts)
      yield* print(
        options.json ? MapReport.totalsToJson(found, covered) : MapReport.totalsToText(found, covered, paint)
      )
    } else if (options.json) {
      yield* printPieces(
        MapReport.toJson(extents),
        (error: Fault) => Effect.as(exitWith(1), `,\n${Json.format({ error: toJson(error) })}\n]\n`)
      )
    } else {
      yield* printPieces(MapReport.toText(extents, paint), Effect.fail)
    }
    yield* Effect.ignore(connected.shutdown)
  })).pipe(Effect.provideService(Transport, transport))

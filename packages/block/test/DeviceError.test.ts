/** The errors of devices can be given to any logger, with their numbers as they are. */
import { DeviceError, Geometry } from "@effect-nbd/block"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { inspect } from "node:util"

const request = {
  device: "disk",
  operation: "read",
  offset: 9_223_372_036_854_775_807n,
  length: 2n ** 53n + 1n
} as const

const errors = [
  new DeviceError.RequestRefusedError({ ...request, why: "OutOfBounds", limit: 2n ** 62n + 1n }),
  new DeviceError.DeviceError({ ...request, errno: "EIO" }),
  new Geometry.GeometryError({ device: "disk", reason: "the size is none" })
]

it.effect.each(errors.map((error) => [error._tag, error] as const))(
  "%s prints through any logger",
  ([tag, error]) =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const keeping = Logger.map(Logger.jsonLogger, (line) => {
        lines.push(line)
      })
      yield* Effect.log(error).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, keeping)))
      for (const text of [...lines, JSON.stringify(error), inspect(error)]) {
        for (const part of [tag, error.message]) expect(text).toContain(part)
        for (const field of Object.values(error)) {
          if (typeof field === "bigint") expect(text).toContain(field.toString())
        }
      }
      expect(lines).toHaveLength(1)
    })
)

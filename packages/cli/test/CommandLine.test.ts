/** What is done to the command line, and to help, around @effect/cli. */
import * as Brackets from "#cli/Brackets"
import { withDefaultMap } from "#cli/commands/info"
import { parseDuration, withEmptyValues } from "#cli/commands/values"
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { cli } from "./support/programs.ts"

describe("brackets", () => {
  it("become one word each, which is the program and its arguments again", () => {
    const words = Brackets.join(["copy", "--flush", "[", "nbdkit", "memory", "a  b", "]", "--", "[", "qemu-nbd", "]"])
    expect(words).toHaveLength(5)
    expect(words.map(Brackets.parse)).toEqual([
      undefined,
      undefined,
      ["nbdkit", "memory", "a  b"],
      undefined,
      ["qemu-nbd"]
    ])
    expect(Brackets.show(words[4] ?? "")).toBe("[ qemu-nbd ]")
  })

  it("stay as they are where there is nothing in them, or no end of them", () => {
    for (const argv of [[], ["[", "]"], ["[", "nbdkit"], ["]", "nbdkit", "["], ["[nbdkit]"]]) {
      expect(Brackets.join(argv)).toEqual(argv)
      expect(argv.map(Brackets.parse)).toEqual(argv.map(() => undefined))
    }
  })
})

describe("options", () => {
  it("--map has a default, and what stands behind -- is no option", () => {
    expect(withDefaultMap(["--map", "--map=a:b", "--", "--map"])).toEqual([
      "--map=base:allocation",
      "--map=a:b",
      "--",
      "--map"
    ])
  })

  it("that may be there several times may have an empty value", () => {
    const argv = ["serve", "--export", "", "--host", "", "--bitmap", "", "--", "--export", "", ""]
    expect(withEmptyValues(argv)).toEqual([
      "serve",
      "--export",
      "\0",
      "--host",
      "",
      "--bitmap",
      "\0",
      "--",
      "--export",
      "",
      ""
    ])
  })

  it("times have a unit", () => {
    expect(["20ms", "1.5s", "2m"].map(parseDuration)).toEqual(
      [20, 1500, 120_000].map((millis) => Duration.millis(millis))
    )
    for (const text of ["", "1", "s", "-1s", "1h", "1e3s", "1 s"]) expect(parseDuration(text)).toBeUndefined()
  })
})

describe("help", () => {
  it.effect("has a line or two for each option, and no more than that", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* cli("info", "--help")
      expect(stdout).toContain("\n--size\n  Print only the size of the export, in bytes\n--uri\n  Print only")
      expect(stdout).toContain("\nARGUMENTS\n\n<URI>\n  nbd://")
      expect(stdout).not.toMatch(/A true or false|optional\.$/m)
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    }))

  it.effect("lists the commands with what they do", () =>
    Effect.map(
      cli("--help"),
      ({ stdout }) =>
        expect(stdout).toMatch(
          /\nCOMMANDS\n {2}- info <URI> {2}Tell what .*\n {2}- copy <SOURCE> <DESTINATION> {2}Copy /
        )
    ))
})

/** `effect-nbd serve --export NAME,…`: exports that differ, files, and a socket that the server is started with. */
import * as ExportSpec from "#cli/ExportSpec"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pki } from "./support/pki.ts"
import { bin, cli, itWith, run, succeed } from "./support/programs.ts"
import { folder } from "./support/servers.ts"
import { serving } from "./support/serving.ts"

const mebibyte = 1_048_576

const json = (said: string): unknown => JSON.parse(said)

describe("an export on the command line", () => {
  it("is a name, and what holds for it alone", () => {
    expect(ExportSpec.parse("")).toEqual(ExportSpec.unnamed)
    expect(ExportSpec.parse("a,,b=c,size=1G,read-only,bitmap=x,bitmap=y,no-trim,description=one,, two")).toEqual({
      ...ExportSpec.unnamed,
      name: "a,b=c",
      size: 1_073_741_824n,
      readOnly: true,
      bitmaps: ["x", "y"],
      without: ["trim"],
      description: "one, two"
    })
    expect(ExportSpec.parse(",block-size=512:4K:1M,tls-only,rotational,writable,allocation-depth")).toEqual({
      ...ExportSpec.unnamed,
      blockSize: { minimum: 512, preferred: 4096, maximum: mebibyte },
      tlsOnly: true,
      rotational: true,
      readOnly: false,
      allocationDepth: true
    })
  })

  it.each([
    ["a,size=much", /^size=much: not a size/],
    ["a,size", /^size: expected one of size=…, file=…/],
    ["a,read-only=yes", /^read-only=yes: expected one of/],
    ["a,block-size=3", /^block-size=3: the minimum has to be a power of two/],
    ["a,file=", /a path is missing/],
    ["a,file=x,size=1M", /a file has its own size/],
    ["a,constructor", /^constructor: expected one of/],
    ["a,", /^: expected one of/]
  ])("%s is told what is wrong with it", (text, reason) => {
    expect(ExportSpec.parse(text)).toMatch(reason)
  })
})

describe("exports", () => {
  it.scopedLive("may be the one with the empty name, beside others", () =>
    Effect.gen(function*() {
      for (const words of [["--export=", "--export=b"], ["--export", "", "--export", "b"]]) {
        const { uri } = yield* serving("--port=0", ...words)
        const { stdout } = yield* cli("info", "--list", "--json", uri)
        expect(json(stdout)).toMatchObject({ exports: [{ "export-name": "" }, { "export-name": "b" }] })
      }
    }))

  itWith("nbdinfo")(
    "have flags, sizes, contexts and descriptions of their own, and the rest in common",
    () =>
      Effect.gen(function*() {
        const { uri } = yield* serving(
          "--port=0",
          "--size=8M",
          "--bitmap=all",
          "--description=one of many",
          "--export",
          "a,size=1M,read-only,description=first,, and small,block-size=512:4K:1M",
          "--export=b,bitmap=monday,no-trim,no-zero,no-multi-conn,no-cache,rotational",
          "--export=c,no-flush,no-fua,no-fast-zero,no-df,allocation-depth"
        )
        expect(json(yield* succeed("nbdinfo", "--list", "--json", uri))).toMatchObject({
          exports: [
            {
              "export-name": "a",
              "export-size": mebibyte,
              description: "first, and small",
              contexts: ["base:allocation", "qemu:dirty-bitmap:all"],
              is_read_only: true,
              is_rotational: false,
              block_size_minimum: 512,
              block_size_maximum: mebibyte
            },
            {
              "export-name": "b",
              "export-size": 8 * mebibyte,
              description: "one of many",
              contexts: ["base:allocation", "qemu:dirty-bitmap:all", "qemu:dirty-bitmap:monday"],
              is_read_only: false,
              is_rotational: true,
              can_cache: false,
              can_fast_zero: false,
              can_flush: true,
              can_multi_conn: false,
              can_trim: false,
              can_zero: false,
              block_size_minimum: 1
            },
            {
              "export-name": "c",
              contexts: ["base:allocation", "qemu:allocation-depth", "qemu:dirty-bitmap:all"],
              can_cache: true,
              can_df: false,
              can_fast_zero: false,
              can_flush: false,
              can_fua: false,
              can_multi_conn: true,
              can_trim: true,
              can_zero: true
            }
          ]
        })
      })
  )

  it.scopedLive("are files, which keep what was written, or cannot be written to", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const [file, from, to] = [join(directory, "file, of mine"), join(directory, "from"), join(directory, "to")]
      const bytes = randomBytes(1_300_001)
      writeFileSync(file, new Uint8Array(1_300_001).fill(1))
      writeFileSync(from, bytes)
      const path = file.replaceAll(",", ",,")
      const { uri } = yield* serving("--port=0", `--export=open,file=${path}`, `--export=closed,file=${path},read-only`)
      expect(json((yield* cli("info", "--json", "--no-content", uri)).stdout)).toMatchObject({
        exports: [{ "export-size": 1_300_001, can_multi_conn: true, can_trim: false, can_zero: true, can_fua: true }]
      })
      expect(yield* cli("copy", "--flush", from, uri)).toMatchObject({ code: 0, stderr: "" })
      expect(readFileSync(file).equals(bytes)).toBe(true)
      const closed = uri.replace("open", "closed")
      expect(yield* cli("copy", closed, to)).toMatchObject({ code: 0, stderr: "" })
      expect(readFileSync(to).equals(bytes)).toBe(true)
      expect((yield* cli("copy", from, closed)).stderr).toMatch(/read-only/)
      const { code, stdout } = yield* cli("check", "--destructive", uri)
      expect(stdout).toMatch(/0 failed/)
      expect(code).toBe(0)
    }))

  it.scopedLive("that cannot be are told in a line", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [string, RegExp]> = [
        ["a,file=/no/such/file", /cannot open \/no\/such\/file: .* \(ENOENT\)/],
        ["a,file=/proc/version", /\/proc\/version has bytes but no size/],
        ["a,file=/dev/null", /\/dev\/null is a device, not a regular file/],
        ["a,bitmap=x,bitmap=x", /only one bitmap called "x"/],
        ["a,size=1Q", /--export a,size=1Q: size=1Q: not a size/]
      ]
      for (const [text, reason] of cases) {
        const { code, stderr, stdout } = yield* cli("serve", "--port=0", `--export=${text}`)
        expect(stderr).toMatch(reason)
        expect(stderr).toMatch(/^effect-nbd: [^\n]+\n$/)
        expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
      }
    }))

  itWith("certtool", "psktool", "nbdinfo")("may be there for clients under TLS alone", () =>
    Effect.gen(function*() {
      const { certificates } = yield* pki
      const credentials = `--tls-certificates=${certificates}`
      const { uri } = yield* serving(
        "--port=0",
        "--tls=allow",
        credentials,
        "--export=open",
        "--export=closed,tls-only"
      )
      const names = (uri: string) =>
        Effect.map(
          succeed("nbdinfo", "--list", uri),
          (said) => [...said.matchAll(/^export="(.*)":$/gm)].map(([, name]) => name)
        )
      expect(yield* names(uri)).toEqual(["open"])
      const encrypted = `${uri.replace("nbd:", "nbds:")}?tls-certificates=${certificates}`
      expect(yield* names(encrypted)).toEqual(["open", "closed"])
      const refused = yield* run("nbdinfo", uri.replace("/open", "/closed"))
      expect(refused.stderr).toMatch(/not supported for export: closed/)
      expect(refused.code).not.toBe(0)
    }))
})

describe("a socket that the server is started with", () => {
  itWith("nbdinfo")("serves whoever has started it, as nbdkit and qemu-nbd do", () =>
    Effect.gen(function*() {
      const program = ["[", process.execPath, bin, "serve", "--size=3M", "]"]
      expect(yield* succeed("nbdinfo", "--size", "--", ...program)).toBe(`${3 * mebibyte}\n`)
      expect(yield* cli("info", "--size", ...program)).toMatchObject({
        code: 0,
        stdout: `${3 * mebibyte}\n`,
        stderr: ""
      })
    }))
})

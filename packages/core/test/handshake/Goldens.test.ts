/**
 * The handshake of every golden, replayed against the library's: it sends the very bytes that were sent to the real
 * server, and learns the same facts however the server's bytes are cut. Cut short anywhere, it fails and never hangs.
 */
import { describe, expect, it } from "@effect/vitest"
import { goldens } from "../fixtures/Golden.ts"
import { broken, finished } from "../fixtures/ManualConnection.ts"
import { askAgain, scriptOf } from "./GoldenClient.ts"
import { converse, cutAtEveryByte } from "./ScriptedPeer.ts"

const nbdkit = "1048576 bytes, flags 0x0ded, Structured"
// Asked for the export's name, nbdkit answers with the empty one.
const unnamed = `${nbdkit}, named ""`
const qemu = "1048576 bytes, flags 0x0ced, Structured, blocks 1/4096/33554432"
const described = "described \"a disk with holes\""
const absent = "the server has no export \"absent\""
const simpleNbdServer = "1048576 bytes, flags 0x016d, Simple"
const zeroless = "newstyle-fixed without zeroes"
const closed = "NbdExportRefusedError: the server closed the connection when asked for export \"absent\""

const unknownTo = (option: string, what = ""): string =>
  `the server refused ${option} with NBD_REP_ERR_UNSUP${what}; the server says: The given option is unknown to this server implementation`

/** What each server said, read off the captures by hand. */
const facts: { readonly [golden: string]: ReadonlyArray<string> } = {
  "nbd-server-abort": [zeroless, "left"],
  "nbd-server-contexts": [
    zeroless,
    "not extended",
    "Simple",
    `NbdOptionRefusedError: ${unknownTo("NBD_OPT_LIST_META_CONTEXT", " for export \"disk\"")}`,
    `NbdOptionRefusedError: ${unknownTo("NBD_OPT_SET_META_CONTEXT", " for export \"disk\"")}`,
    `entered: ${simpleNbdServer}`
  ],
  "nbd-server-export-name": [zeroless, "entered by name: 1048576 bytes, flags 0x016d"],
  "nbd-server-export-name-padded": ["newstyle-fixed", "entered by name: 1048576 bytes, flags 0x016d"],
  "nbd-server-export-name-refused": [zeroless, closed],
  "nbd-server-simple": [
    zeroless,
    "Simple",
    "list: [\"disk\",\"\"]",
    // This server does not know the size before GO: what INFO tells is advisory (C-056).
    "info: 0 bytes, flags 0x016d, Simple",
    `NbdExportUnknownError: ${absent}; the server says: Export unknown`,
    `NbdExportUnknownError: ${absent}; the server says: Export unknown`,
    `NbdOptionRefusedError: ${unknownTo("option 0x00004242")}`,
    `entered: ${simpleNbdServer}`
  ],
  "nbd-server-unknown-command": [zeroless, "Simple", `entered: ${simpleNbdServer}`],
  "nbdkit-block-size": [
    zeroless,
    "Structured",
    "entered: 1048576 bytes, flags 0x0ded, Structured, blocks 4096/65536/1048576, named \"\""
  ],
  "nbdkit-contexts": [
    zeroless,
    "not extended",
    "NbdOptionRefusedError: the server refused NBD_OPT_SET_META_CONTEXT with NBD_REP_ERR_INVALID for the default export",
    "Structured",
    "contexts: base:allocation",
    "selected: 1 base:allocation",
    `entered: ${nbdkit}`
  ],
  "nbdkit-error": [zeroless, "Structured", `entered: ${unnamed}`],
  "nbdkit-export-name": [zeroless, "entered by name: 1048576 bytes, flags 0x0503"],
  "nbdkit-export-name-padded": ["newstyle-fixed", "entered by name: 1048576 bytes, flags 0x0503"],
  "nbdkit-exports": [
    zeroless,
    "list: [\"first\",\"the first disk\"] [\"second/disk\",\"\"] [\"диск\",\"на кириллице\"]",
    "info: 65536 bytes, flags 0x0003, Simple, named \"диск\", described \"this is диск\"",
    `NbdExportUnknownError: ${absent}`,
    "left"
  ],
  "nbdkit-not-fixed": ["newstyle", "entered by name: 1048576 bytes, flags 0x0503"],
  "nbdkit-oldstyle": ["oldstyle: 1048576 bytes, flags 0x0d6d"],
  "nbdkit-read-only": [
    zeroless,
    "Structured",
    "entered: 8070450532247928832 bytes, flags 0x0583, Structured, named \"\""
  ],
  "nbdkit-simple": [zeroless, "Simple", "entered: 1048576 bytes, flags 0x0d6d, Simple, named \"\""],
  "nbdkit-structured": [
    zeroless,
    "Structured",
    "list: [\"\",\"\"]",
    `info: ${unnamed}`,
    "NbdOptionRefusedError: the server refused option 0x00004242 with NBD_REP_ERR_UNSUP",
    `entered: ${nbdkit}`
  ],
  "nbdkit-tls-required": [
    zeroless,
    "NbdTlsRequiredError: the server requires TLS before NBD_OPT_LIST",
    "NbdTlsRequiredError: the server requires TLS before NBD_OPT_GO",
    "left"
  ],
  "nbdkit-unknown-command": [zeroless, "Structured", `entered: ${unnamed}`],
  "qemu-abort": [zeroless, "list: [\"disk\",\"a disk with holes\"]", "left"],
  "qemu-contexts": [
    zeroless,
    "not extended",
    "Structured",
    "contexts: base:allocation qemu:allocation-depth qemu:dirty-bitmap:b0",
    "contexts: qemu:allocation-depth qemu:dirty-bitmap:b0",
    `NbdExportUnknownError: ${absent}; the server says: export 'absent' not present`,
    // In the server's own order, which is not the one they were asked for in (C-116).
    "selected: 0 base:allocation, 1 qemu:allocation-depth, 2 qemu:dirty-bitmap:b0",
    `entered: ${qemu}`
  ],
  "qemu-export-name": [zeroless, "entered by name: 1048576 bytes, flags 0x0c6d"],
  "qemu-export-name-refused": [zeroless, closed],
  "qemu-holes": [zeroless, "Structured", `entered: ${qemu}, named "disk", ${described}`],
  "qemu-read-only": [
    zeroless,
    "Structured",
    "entered: 1048576 bytes, flags 0x048f, Structured, blocks 1/4096/33554432, named \"disk\""
  ],
  "qemu-simple": [
    zeroless,
    `entered: 1048576 bytes, flags 0x0c6d, Simple, blocks 1/4096/33554432, named "disk", ${described}`
  ],
  "qemu-structured": [
    zeroless,
    "Structured",
    "list: [\"disk\",\"a disk with holes\"]",
    `info: ${qemu}, named "disk", ${described}`,
    `NbdExportUnknownError: ${absent}; the server says: export 'absent' not present`,
    `NbdExportUnknownError: ${absent}; the server says: export 'absent' not present`,
    "NbdOptionRefusedError: the server refused option 0x00004242 with NBD_REP_ERR_UNSUP; the server says: Unsupported option 16962 (<unknown>)",
    `entered: ${qemu}, ${described}`
  ],
  "qemu-unknown-command": [zeroless, "Structured", `entered: ${qemu}, named "disk", ${described}`]
}

describe.each(goldens.map((golden) => [golden.name, golden] as const))("the handshake of %s", (name, golden) => {
  const script = scriptOf(golden)

  it.each([["whole", undefined], ["byte by byte", 1], ["in pieces of 7 bytes", 7]] as const)(
    "tells the same facts %s (H-004)",
    (_, split) => {
      const { outcome, reader, unexpected } = converse(askAgain(golden), script, split)
      expect(outcome).toStrictEqual({ _tag: "Succeeded", value: facts[name] })
      expect(unexpected).toStrictEqual(new Uint8Array(0))
      expect(reader.buffered).toBe(0)
    }
  )

  it.each(
    [
      ["closes", finished, ["NbdServerDisconnectedError"]],
      ["breaks", broken, ["NbdTransportLostError"]]
    ] as const
  )("fails at once when the connection %s at any byte of the server's (H-003, H-061)", (_, end, faults) => {
    for (const short of cutAtEveryByte(script, end)) {
      const { outcome } = converse(askAgain(golden), short)
      if (outcome._tag === "Failed") {
        expect(faults).toContain(outcome.error._tag)
        if ("phase" in outcome.error) {
          expect(outcome.error.phase).toBe(short.some((line) => "client" in line) ? "haggling" : "greeting")
        }
        continue
      }
      // Neither an answer to our goodbye nor the lack of one is a failure, and an end instead of an export is a refusal.
      expect(outcome).toMatchObject({ _tag: "Succeeded" })
      const last = outcome._tag === "Succeeded" ? outcome.value.at(-1) : undefined
      expect(last).toMatch(/^left$|^NbdExportRefusedError: /)
    }
  })
})

import * as NbdUri from "@effect-nbd/core/NbdUri"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"

const parse = (text: string): NbdUri.NbdUri => Effect.runSync(NbdUri.parse(text))
const refusal = (text: string) => Effect.runSync(Effect.flip(NbdUri.parse(text)))

const tcp = (host: string, port: number, exportName: string): NbdUri.NbdUri => ({
  transport: { _tag: "Tcp", host, port },
  exportName,
  tls: false,
  username: undefined
})

const unix = (path: string, exportName: string): NbdUri.NbdUri => ({
  transport: { _tag: "Unix", path },
  exportName,
  tls: false,
  username: undefined
})

describe("parse", () => {
  it.each([
    ["nbd://server", tcp("server", 10809, "")],
    ["nbd://server/", tcp("server", 10809, "")],
    ["nbd://server:/", tcp("server", 10809, "")],
    ["nbd://", tcp("localhost", 10809, "")],
    ["nbd:///disk", tcp("localhost", 10809, "disk")],
    ["nbd://server:10810/disk", tcp("server", 10810, "disk")],
    ["nbd://server/disk?nbd-port=10811", tcp("server", 10811, "disk")],
    ["NBD://server/Disk", tcp("server", 10809, "Disk")],
    ["nbd://127.0.0.1/", tcp("127.0.0.1", 10809, "")],
    ["nbd://[::1]:1/x", tcp("::1", 1, "x")],
    ["nbd://[fe80::1%25eth0]/", tcp("fe80::1%eth0", 10809, "")],
    ["nbd+unix:///?socket=/run/nbd.sock", unix("/run/nbd.sock", "")],
    ["nbd+unix://?socket=nbd.sock", unix("nbd.sock", "")],
    ["nbd+unix:///disk?SOCKET=/a%20b%26c", unix("/a b&c", "disk")],
    ["nbd+unix:///?x-trace=1;socket=/run/s", unix("/run/s", "")],
    ["nbd+unix:///?x-trace=1&socket=/run/a;b", unix("/run/a;b", "")]
  ])("%s", (text, uri) => {
    expect(parse(text)).toStrictEqual(uri)
  })

  it.each([
    ["//disk", "/disk"],
    ["/.", "."],
    ["/%2e", "."],
    ["/a/../b", "a/../b"],
    ["/%2Fa", "/a"],
    ["/%2541", "%41"],
    ["/a+b", "a+b"],
    ["/%E2%82%AC", "€"],
    ["/a%3Fb%23c", "a?b#c"],
    [`/${"a".repeat(4096)}`, "a".repeat(4096)]
  ])("takes the export name of %s as it stands (C-239, T-02)", (path, exportName) => {
    expect(parse(`nbd://h${path}`).exportName).toBe(exportName)
    expect(parse(`nbd+unix://${path}?socket=/s`).exportName).toBe(exportName)
  })

  it("keeps TLS and the user name", () => {
    expect(parse("nbds://al%40ice@server")).toStrictEqual({
      ...tcp("server", 10809, ""),
      tls: true,
      username: "al@ice"
    })
    expect(parse("nbds+unix://u:p@/x?socket=/s")).toStrictEqual({ ...unix("/s", "x"), tls: true, username: "u:p" })
    expect(parse("nbds://alice@server?tls-username=bob").username).toBe("bob")
  })

  it.each([
    ["localhost", "localhost"],
    ["/dev/nbd0", "/dev/nbd0"],
    ["nbd:server", "nbd:server"],
    ["http://server/", "http"],
    ["constructor://server/", "constructor"],
    ["nbd://server/a b", " "],
    ["nbd://server/€", "€"],
    ["nbd://server/%", "/%"],
    ["nbd://server/%4", "/%4"],
    ["nbd://server/%zz", "/%zz"],
    ["nbd://server/%00", "/%00"],
    ["nbd://server/%ff", "/%ff"],
    ["nbd://server/%c0%80", "/%c0%80"],
    ["nbd://server/%ed%a0%80", "/%ed%a0%80"],
    [`nbd://server/${"a".repeat(4097)}`, `/${"a".repeat(4097)}`],
    ["nbd://server/disk#1", "#1"],
    ["nbd://server:0/", "0"],
    ["nbd://server:65536/", "65536"],
    ["nbd://server:nbd/", "nbd"],
    ["nbd://server:-1/", "-1"],
    ["nbd://server/?nbd-port=", ""],
    ["nbd://::1/", "::1"],
    ["nbd://[::1/", "[::1"],
    ["nbd://[server]/", "server"],
    ["nbd://%zz/", "%zz"],
    ["nbd://%zz@server/", "%zz@server"],
    ["nbd://server/?socket=/s", "socket"],
    ["nbd://server/?colour=red", "colour"],
    ["nbd://server/?x-a=%zz", "x-a=%zz"],
    ["nbd+unix:///disk", "socket"],
    ["nbd+unix:///disk?socket=", "socket"],
    ["nbd+unix:///disk?socket", "socket"],
    ["nbd+unix:///disk?socket=/a%00b", "socket=/a%00b"],
    ["nbd+unix:///disk?socket=/a&socket=/b", "socket"],
    ["nbd+unix:///disk?socket=/a&nbd-port=1", "nbd-port"],
    ["nbd+unix://run/nbd.sock?socket=/a", "run"]
  ])("refuses %s and names the part", (uri, part) => {
    expect(refusal(uri)).toMatchObject({ _tag: "NbdUriError", uri, part })
  })

  it.each([
    ["nbd+vsock://2/", "nbd+vsock", "no vsock transport"],
    ["nbds+ssh://server/", "nbds+ssh", "no SSH transport"],
    ["nbds://server/?tls-psk-file=/keys", "nbds", "the parameter tls-psk-file is not supported yet"]
  ])("knows but does not support %s", (uri, scheme, why) => {
    expect(refusal(uri)).toMatchObject({ _tag: "NbdUriUnsupportedError", uri, scheme, why })
  })

  it("says what is wrong", () => {
    expect(refusal("nbd://server:0/").message).toBe(`not an NBD URI: "0": a port is a number from 1 to 65535`)
    expect(refusal("nbd+vsock://2/").message).toBe("cannot use this nbd+vsock URI: no vsock transport")
  })
})

const text = (limits: FastCheck.StringSharedConstraints) =>
  FastCheck.fullUnicodeString(limits).filter((value) => !value.includes("\0"))

const uris: FastCheck.Arbitrary<NbdUri.NbdUri> = FastCheck.record({
  transport: FastCheck.oneof(
    FastCheck.record({
      _tag: FastCheck.constant("Tcp" as const),
      host: FastCheck.oneof(
        text({ minLength: 1 }),
        FastCheck.ipV6(),
        FastCheck.tuple(FastCheck.ipV6(), text({ minLength: 1 })).map(([address, zone]) => `${address}%${zone}`)
      ),
      port: FastCheck.integer({ min: 1, max: 65535 })
    }),
    FastCheck.record({ _tag: FastCheck.constant("Unix" as const), path: text({ minLength: 1 }) })
  ),
  exportName: text({ maxLength: 1024 }),
  tls: FastCheck.boolean(),
  username: FastCheck.option(text({}), { nil: undefined })
})

describe("format", () => {
  it.prop("is undone by parse", [uris], ([uri]) => {
    expect(parse(NbdUri.format(uri))).toStrictEqual(uri)
  }, { fastCheck: { numRuns: 2000 } })

  it.prop("parse never throws, and what it takes survives a round trip", [
    FastCheck.oneof(
      FastCheck.fullUnicodeString(),
      FastCheck.webUrl({ validSchemes: ["nbd", "nbds", "nbd+unix"], withQueryParameters: true, withFragments: true })
    )
  ], ([input]) => {
    const uri = Effect.runSync(Effect.option(NbdUri.parse(input)))
    if (uri._tag === "Some") expect(parse(NbdUri.format(uri.value))).toStrictEqual(uri.value)
  }, { fastCheck: { numRuns: 2000 } })

  it("writes what other NBD programs read", () => {
    expect(NbdUri.format(tcp("::1", 10809, "a b/c?"))).toBe("nbd://[::1]:10809/a%20b/c%3F")
    expect(NbdUri.format(unix("/run/a&b;c", "/x"))).toBe("nbd+unix:////x?socket=/run/a%26b%3Bc")
    expect(NbdUri.format({ ...tcp("h", 1, ""), tls: true, username: "al@ice" })).toBe("nbds://al%40ice@h:1/")
  })

  it("replaces what no URI can hold", () => {
    expect(NbdUri.format(tcp("h", 1, "\ud800x"))).toBe("nbd://h:1/%EF%BF%BDx")
  })
})

import * as NbdUri from "@effect-nbd/core/NbdUri"
import { Arbitraries } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { format, parse, ssh, tcp, unix, vsock } from "./Uris.ts"

const refusal = (uri: NbdUri.NbdUri) => Effect.runSync(Effect.flip(NbdUri.format(uri)))
const withTls = (uri: NbdUri.NbdUri, tls: Partial<NbdUri.UriTls>): NbdUri.NbdUri => ({
  ...uri,
  tls: { ...uri.tls, ...tls }
})

describe("format", () => {
  it.prop("is undone by parse", [Arbitraries.uri], ([uri]) => {
    expect(parse(format(uri))).toStrictEqual(uri)
  }, { fastCheck: { numRuns: 4000 } })

  it.prop("parse never throws, and what it takes survives a round trip", [Arbitraries.oddUriText], ([input]) => {
    const uri = Effect.runSync(Effect.option(NbdUri.parse(input)))
    if (Option.isSome(uri)) expect(parse(format(uri.value))).toStrictEqual(uri.value)
  }, { fastCheck: { numRuns: 4000 } })

  it.each<readonly [NbdUri.NbdUri, string]>([
    [tcp("::1", 10809, "a b/c?"), "nbd://[::1]:10809/a%20b/c%3F"],
    [tcp("fe80::1%eth 0", 1), "nbd://[fe80::1%25eth%200]:1/"],
    [tcp("a:b", 1, ".."), "nbd://a%3Ab:1/.."],
    [unix("/run/a&b;c", "/x"), "nbd+unix:////x?socket=/run/a%26b%3Bc"],
    [vsock(3, 4294967294, "d"), "nbd+vsock://3:4294967294/d"],
    [ssh("server"), "nbd+ssh://server/?nbd-port=10809"],
    [
      ssh("::1", { user: "al", port: 22, target: { _tag: "Socket", path: "/s" }, compress: true }),
      "nbd+ssh://al@[::1]:22/?socket=/s&compress=true"
    ],
    [withTls(tcp("h", 1), { required: true, username: "al@ice" }), "nbds://al%40ice@h:1/"],
    [
      withTls(ssh("h", { user: "al" }), { required: true, username: "al@ice", verifyPeer: false }),
      "nbds+ssh://al@h/?nbd-port=10809&tls-username=al%40ice&tls-verify-peer=false"
    ],
    [
      withTls(unix("/s"), { required: true, credentials: { _tag: "X509", directory: "/a=b" }, hostname: "h" }),
      "nbds+unix:///?socket=/s&tls-certificates=/a%3Db&tls-hostname=h"
    ],
    [
      withTls(tcp("h", 1), { required: true, credentials: { _tag: "Psk", file: undefined } }),
      "nbds://h:1/?tls-type=psk"
    ]
  ])("%j is %s", (uri, text) => {
    expect(format(uri)).toBe(text)
    expect(parse(text)).toStrictEqual(uri)
  })

  it.each<readonly [NbdUri.NbdUri, string]>([
    [tcp("h", 1, "\ud800x"), "exportName"],
    [tcp("h", 1, "a\0b"), "exportName"],
    [tcp("h", 1, "€".repeat(1366)), "exportName"],
    [tcp("", 1), "host"],
    [tcp("\udc00", 1), "host"],
    [tcp("h", 0), "port"],
    [tcp("h", 65_536), "port"],
    [tcp("h", 1.5), "port"],
    [tcp("h", Number.NaN), "port"],
    [unix(""), "path"],
    [unix("a\0b"), "path"],
    [vsock(-1, 1), "cid"],
    [vsock(0xffff_ffff, 1), "cid"],
    [vsock(1, 0xffff_ffff), "port"],
    [ssh("-oProxyCommand=x"), "host"],
    [ssh("h", { user: "a b" }), "user"],
    [ssh("h", { port: 0 }), "port"],
    [ssh("h", { target: { _tag: "Port", port: 0 } }), "port"],
    [ssh("h", { target: { _tag: "Socket", path: "/a;b" } }), "path"],
    [withTls(tcp("h", 1), { username: "\0" }), "username"],
    [withTls(tcp("h", 1), { hostname: "" }), "hostname"],
    [withTls(tcp("h", 1), { credentials: { _tag: "X509", directory: "" } }), "credentials"],
    [withTls(tcp("h", 1), { credentials: { _tag: "Psk", file: "\0" } }), "credentials"],
    [unix(`/${"ä".repeat(12_000)}`), "uri"]
  ])("refuses what no URI can hold, and changes nothing: %j", (uri, part) => {
    expect(refusal(uri)).toMatchObject({ _tag: "NbdUriUnwritableError", part })
    expect(refusal(uri).message).toContain(part)
  })

  it("takes time linear to the length, whatever the text", () => {
    const long = 65_500
    for (
      const text of [
        `nbd://${":".repeat(long)}`,
        `nbd://[${":".repeat(long)}]`,
        `nbd://${"@".repeat(long)}:x`,
        `nbd://h/?${"?".repeat(long)}`,
        `nbd://h/?${"&;".repeat(long / 2)}=`,
        `nbd://h/?${"=".repeat(long)}`,
        `nbd+ssh://${"a.".repeat(long / 2)}-%20`,
        `nbd://${"%25".repeat(long / 3)}`,
        "nbd".repeat(long / 3),
        "+".repeat(long)
      ]
    ) {
      const from = performance.now()
      Effect.runSync(Effect.ignore(NbdUri.parse(text)))
      // Quadratic would be seconds.
      expect(performance.now() - from).toBeLessThan(500)
    }
  })
})

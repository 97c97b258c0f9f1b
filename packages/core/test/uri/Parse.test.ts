import * as NbdUri from "@effect-nbd/core/NbdUri"
import { describe, expect, it } from "@effect/vitest"
import { parse, refusal, ssh, tcp, unix, vsock } from "./Uris.ts"

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
    ["nbd+unix:///?x-trace=1&socket=/run/a;b", unix("/run/a;b", "")],
    ["nbd+unix:///?%73ocket=@a", unix("@a", "")],
    ["nbd://server:1/?nbd-port=2", tcp("server", 2, "")],
    ["nbd://[1:2:3:4:5:6:1.2.3.4]/", tcp("1:2:3:4:5:6:1.2.3.4", 10809, "")],
    ["nbd://%C3%A9.example/", tcp("é.example", 10809, "")],
    ["nbd+vsock://", vsock(2, 10809)],
    ["nbd+vsock:///disk", vsock(2, 10809, "disk")],
    ["nbd+vsock://3:5/", vsock(3, 5)],
    ["nbd+vsock://:7/", vsock(2, 7)],
    ["nbd+vsock://4294967294:4294967294/", vsock(4294967294, 4294967294)],
    ["nbd+vsock://3:5/?nbd-port=0", vsock(3, 0)],
    ["nbd+ssh://server", ssh("server")],
    ["nbd+ssh://al@server:2222/", ssh("server", { user: "al", port: 2222 })],
    ["nbd+ssh://[::1]/?nbd-port=1", ssh("::1", { target: { _tag: "Port", port: 1 } })],
    ["nbd+ssh://server/?socket=/run/nbd.sock&compress=yes", {
      ...ssh("server", { target: { _tag: "Socket", path: "/run/nbd.sock" }, compress: true })
    }],
    ["nbd+ssh://server/?compress=OFF", ssh("server")]
  ])("takes %s apart (C-232, C-233, C-236, C-237)", (text, uri) => {
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

  it.each<readonly [string, Partial<NbdUri.UriTls>]>([
    ["nbd://al%40ice@server", { username: "al@ice" }],
    ["nbds://server", { required: true }],
    ["nbds+unix://u:p@/x?socket=/s", { required: true, username: "u:p" }],
    ["nbds+vsock://alice@3/", { required: true, username: "alice" }],
    ["nbds+ssh://alice@server/", { required: true }],
    ["nbds+ssh://alice@server/?tls-username=bob", { required: true, username: "bob" }],
    ["nbds://alice@server?tls-username=bob", { required: true, username: "bob" }],
    ["nbds://server?tls-certificates=/pki%20a", { required: true, credentials: { _tag: "X509", directory: "/pki a" } }],
    ["nbds://server?tls-type=x509", { required: true, credentials: { _tag: "X509", directory: undefined } }],
    ["nbds://server?tls-type=X509&tls-certificates=d", {
      required: true,
      credentials: { _tag: "X509", directory: "d" }
    }],
    ["nbds://server?tls-psk-file=keys", { required: true, credentials: { _tag: "Psk", file: "keys" } }],
    ["nbds://server?tls-type=psk", { required: true, credentials: { _tag: "Psk", file: undefined } }],
    ["nbds+unix:///?socket=s&TLS-Hostname=a", { required: true, hostname: "a" }],
    ["nbds://server?tls-verify-peer=0", { required: true, verifyPeer: false }],
    ["nbds://server?tls-verify-peer=No", { required: true, verifyPeer: false }],
    ["nbds://server?tls-verify-peer=t", { required: true }],
    ["nbd://server?tls-hostname=a", { hostname: "a" }]
  ])("%s asks for TLS (C-233, C-238, C-240)", (text, tls) => {
    expect(parse(text).tls).toStrictEqual({ ...NbdUri.noTls, ...tls })
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
    ["nbd://%zz@server/", "%zz"],
    ["nbd://server/?socket=/s", "socket"],
    ["nbd://server/?colour=red", "colour"],
    ["nbd://server/?x-a=%zz", "x-a=<redacted>"],
    ["nbd://server/?%zz=a", "%zz"],
    ["nbd://server/?=a", ""],
    ["nbd://server/?compress=1", "compress"],
    ["nbd://server:x/?nbd-port=1", "x"],
    ["nbd://[1::2::3]/", "1::2::3"],
    ["nbd://[1:2:3:4:5:6:7]/", "1:2:3:4:5:6:7"],
    ["nbd://[1:2:3:4:5:6:7:8:9]/", "1:2:3:4:5:6:7:8:9"],
    ["nbd://[::1%eth0]/", "::1%eth0"],
    ["nbd://[::1%25]/", "::1%25"],
    ["nbd://[v1.a]/", "v1.a"],
    ["nbd://[::1]x/", "[::1]x"],
    ["nbd+vsock://host/", "host"],
    ["nbd+vsock://4294967295/", "4294967295"],
    ["nbd+vsock://2:4294967295/", "4294967295"],
    ["nbd+vsock://-1/", "-1"],
    ["nbd+vsock://0x2/", "0x2"],
    ["nbd+vsock://1:2:3/", "1:2:3"],
    ["nbd+vsock://2/?nbd-port=99999999999", "99999999999"],
    ["nbd+vsock://2/?socket=/s", "socket"],
    ["nbds://server/?tls-type=pks", "tls-type=pks"],
    ["nbds://server/?tls-certificates=", "tls-certificates"],
    ["nbds://server/?tls-psk-file", "tls-psk-file"],
    ["nbds://server/?tls-certificates=a&tls-psk-file=b", "tls-certificates"],
    ["nbds://server/?tls-certificates=a&tls-type=psk", "tls-certificates"],
    ["nbds://server/?tls-psk-file=a&tls-type=x509", "tls-psk-file"],
    ["nbds://server/?tls-verify-peer=", "tls-verify-peer="],
    ["nbds://server/?tls-verify-peer=2", "tls-verify-peer=2"],
    ["nbds://server/?tls-hostname=", "tls-hostname"],
    ["nbd+unix:///disk", "socket"],
    ["nbd+unix:///disk?socket=", "socket"],
    ["nbd+unix:///disk?socket", "socket"],
    ["nbd+unix:///disk?socket=/a%00b", "socket=/a%00b"],
    ["nbd+unix:///disk?socket=/a&socket=/b", "socket"],
    ["nbd+unix:///disk?socket=/a&nbd-port=1", "nbd-port"],
    ["nbd+unix://run/nbd.sock?socket=/a", "run"]
  ])("refuses %s and names the part (C-232, C-235, C-237, C-241)", (uri, part) => {
    expect(refusal(uri)).toMatchObject({ _tag: "NbdUriError", uri: NbdUri.redact(uri), part })
  })

  // What a host, a user or a path may do to a command line, here or at the other end (CVE-2025-14946).
  it.each([
    ["nbd+ssh:///", ""],
    ["nbd+ssh://:22/", ":22"],
    ["nbd+ssh://-oProxyCommand=touch%20x/", "-oProxyCommand=touch%20x"],
    ["nbd+ssh://-oProxyCommand=x:22/", "-oProxyCommand=x:22"],
    ["nbd+ssh://a%20b/", "a%20b"],
    ["nbd+ssh://a%0ab/", "a%0ab"],
    ["nbd+ssh://a;b/", "a;b"],
    ["nbd+ssh://$(id)/", "$(id)"],
    ["nbd+ssh://%C3%A9/", "%C3%A9"],
    ["nbd+ssh://[fe80::1%25eth0]/", "[fe80::1%25eth0]"],
    [`nbd+ssh://${"a".repeat(256)}/`, "a".repeat(256)],
    ["nbd+ssh://@server/", ""],
    ["nbd+ssh://-l@server/", "-l"],
    ["nbd+ssh://a%20-oProxyCommand=x@server/", "a -oProxyCommand=x"],
    ["nbd+ssh://a'b@server/", "a'b"],
    ["nbd+ssh://server:0/", "0"],
    ["nbd+ssh://server/?nbd-port=1;id", "id"],
    ["nbd+ssh://server/?nbd-port=1%3Bid", "1;id"],
    ["nbd+ssh://server/?nbd-port=-1", "-1"],
    ["nbd+ssh://server/?socket=", ""],
    ["nbd+ssh://server/?socket=-e/bin/sh", "-e/bin/sh"],
    ["nbd+ssh://server/?socket=/a%20/b", "/a /b"],
    ["nbd+ssh://server/?socket=/a%26id", "/a&id"],
    ["nbd+ssh://server/?socket=$HOME", "$HOME"],
    ["nbd+ssh://server/?socket=`id`", "`"],
    ["nbd+ssh://server/?socket=/a%0aid", "/a\nid"],
    ["nbd+ssh://server/?socket=~/s", "~/s"],
    ["nbd+ssh://server/?socket=/*", "/*"],
    [`nbd+ssh://server/?socket=/${"a".repeat(107)}`, `/${"a".repeat(107)}`],
    ["nbd+ssh://server/?socket=/a&nbd-port=1", "nbd-port"],
    ["nbd+ssh://server/?compress=maybe", "compress=maybe"]
  ])("keeps %s from ssh", (uri, part) => {
    expect(refusal(uri)).toMatchObject({ _tag: "NbdUriError", part })
  })

  it.each([
    [
      "nbds://server/?tls-priority=NORMAL",
      "nbds",
      "tls-priority is written in GnuTLS's language, and this is not GnuTLS"
    ],
    ["nbds+unix:///?socket=s&tls-type=anon", "nbds+unix", "anonymous TLS does not protect from somebody in between"]
  ])("knows but does not support %s", (uri, scheme, why) => {
    expect(refusal(uri)).toMatchObject({ _tag: "NbdUriUnsupportedError", uri, scheme, why })
  })

  it("says what is wrong", () => {
    expect(refusal(`nbd://server/${"%E2%82%AC".repeat(1366)}`).message).toContain(
      "an export name has at most 4096 bytes"
    )
    expect(refusal("nbd://server:0/").message).toBe(`not an NBD URI: "0": a port is a number from 1 to 65535`)
    expect(refusal("nbds://h/?tls-type=anon").message).toBe(
      "cannot use this nbds URI: anonymous TLS does not protect from somebody in between"
    )
    expect(refusal("/dev/nbd0").message).toContain("nbd+unix:///?socket=PATH")
    expect(refusal("localhost:10809").message).toContain("nbd://localhost:PORT")
  })
})

describe("errors", () => {
  it.each([
    ["nbd://al:secret@server:0/", "nbd://al:<redacted>@server:0/"],
    ["nbd://al%3asecret@server:0/", "nbd://al:<redacted>@server:0/"],
    ["nbd://al:s:e@c@server:0/", "nbd://al:<redacted>@server:0/"],
    ["nbd://:secret@server:0/", "nbd://:<redacted>@server:0/"],
    ["nbd://server/?password=secret", "nbd://server/?password=<redacted>"],
    [
      "nbd://server/?a&x-key=secret;token=secret&socket=/s",
      "nbd://server/?a&x-key=<redacted>;token=<redacted>&socket=/s"
    ],
    ["http://al:secret@server/", "http://al:<redacted>@server/"],
    ["al:secret@server", "al:<redacted>@server"],
    ["nbd://al:secret@server/?tls-priority=NORMAL", "nbd://al:<redacted>@server/?tls-priority=NORMAL"]
  ])("blot out what %s keeps secret", (text, uri) => {
    const error = refusal(text)
    expect(error).toMatchObject({ uri })
    expect(JSON.stringify(error) + error.message).not.toContain("secret")
  })

  it("of parts as well", () => {
    expect(refusal("nbd://al:secret%zz@server")).toMatchObject({ part: "al:<redacted>" })
    expect(refusal("nbd+ssh://al:secret@server")).toMatchObject({ part: "al:<redacted>" })
  })

  it("are short where the text is long", () => {
    const error = refusal(`nbd://server/?password=${"s".repeat(70_000)}`)
    expect(error).toMatchObject({
      uri: "nbd://server/?password=<redacted>",
      reason: "a URI has at most 65536 characters"
    })
    expect(refusal(`nbd://${"h".repeat(70_000)}`)).toMatchObject({ uri: `nbd://${"h".repeat(1018)}…` })
  })
})

describe("isUri", () => {
  it.each([
    ["nbd://", true],
    ["NBDS+Unix://%%%", true],
    ["nbds+vsock://x", true],
    ["nbd+ssh://x", true],
    ["nbd:server", false],
    ["nbd+tcp://server", false],
    ["http://server", false],
    ["constructor://", false],
    ["", false],
    ["/nbd://", false]
  ])("%s: %s", (text, is) => expect(NbdUri.isUri(text)).toBe(is))
})

import * as NbdUri from "@effect-nbd/core/NbdUri"
import * as UriPolicy from "@effect-nbd/core/UriPolicy"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { parse } from "./Uris.ts"

const checked = (text: string, policy?: Partial<UriPolicy.UriPolicy>) => UriPolicy.check(parse(text), policy)

describe("check", () => {
  it.each<readonly [string, Partial<UriPolicy.UriPolicy> | undefined]>([
    ["nbd://server", undefined],
    ["nbds://alice@server/?tls-hostname=a&tls-type=psk", undefined],
    ["nbd+unix:///?socket=/s", {}],
    ["nbd+vsock://", undefined],
    ["nbd+ssh://server", { transports: ["Ssh"] }],
    ["nbd://server", { tls: "Disable" }],
    ["nbds://server", { tls: "Require" }],
    ["nbds://server/?tls-certificates=/d", { localFiles: true }],
    ["nbds://server/?tls-psk-file=/f", { localFiles: true }],
    ["nbds://server/?tls-verify-peer=false", { unverifiedPeer: true }]
  ])("permits %s under %j", (text, policy) => {
    expect(Effect.runSync(checked(text, policy))).toStrictEqual(parse(text))
  })

  it.each<readonly [string, Partial<UriPolicy.UriPolicy> | undefined, string, string]>([
    ["nbd+ssh://server", undefined, "nbd+ssh", "nbd+ssh"],
    ["nbds+ssh://server", { localFiles: true }, "nbds+ssh", "nbds+ssh"],
    ["nbd+unix:///?socket=/s", { transports: ["Tcp"] }, "nbd+unix", "nbd+unix"],
    ["nbd://server", { transports: [] }, "nbd", "nbd"],
    ["nbds://server", { tls: "Disable" }, "nbds", "nbds"],
    ["nbd+unix:///?socket=/s", { tls: "Require" }, "nbd+unix", "nbd+unix"],
    ["nbds://server/?tls-certificates=/d", undefined, "nbds", "tls-certificates"],
    ["nbd://server/?tls-certificates=/d", undefined, "nbd", "tls-certificates"],
    ["nbds://server/?tls-psk-file=/f", { tls: "Allow" }, "nbds", "tls-psk-file"],
    ["nbds://server/?tls-verify-peer=off", { localFiles: true }, "nbds", "tls-verify-peer"]
  ])("does not permit %s under %j", (text, policy, scheme, part) => {
    const error = Effect.runSync(Effect.flip(checked(text, policy)))
    expect(error).toMatchObject({ _tag: "NbdUriNotPermittedError", scheme, part })
    expect(error.message).toMatch(`this ${scheme} URI is not permitted: ${part}: `)
  })

  it("has libnbd's defaults but for SSH and for servers that are not verified", () => {
    expect(UriPolicy.defaultPolicy).toStrictEqual({
      transports: ["Tcp", "Unix", "Vsock"],
      tls: "Allow",
      localFiles: false,
      unverifiedPeer: false
    })
    expect(NbdUri.noTls.verifyPeer).toBe(true)
  })
})

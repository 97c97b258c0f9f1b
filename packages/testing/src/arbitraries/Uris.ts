/**
 * URIs: every value that one can have, and texts that are nearly one.
 *
 * @since 0.1.0
 */
import * as NbdUri from "@effect-nbd/core/NbdUri"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import { optional } from "./Fields.ts"

const text = (limits: FastCheck.StringSharedConstraints) =>
  FastCheck.fullUnicodeString(limits).filter((value) => !value.includes("\0"))
const nonEmpty = text({ minLength: 1 })
const ports = FastCheck.integer({ min: 1, max: 65_535 })
const vsockNumbers = FastCheck.integer({ min: 0, max: 0xffff_fffe })

const transport: FastCheck.Arbitrary<NbdUri.UriTransport> = FastCheck.oneof(
  FastCheck.record({
    _tag: FastCheck.constant("Tcp" as const),
    host: FastCheck.oneof(
      nonEmpty,
      FastCheck.domain(),
      FastCheck.ipV4(),
      FastCheck.ipV6(),
      FastCheck.tuple(FastCheck.ipV6(), nonEmpty).map(([address, zone]) => `${address}%${zone}`)
    ),
    port: ports
  }),
  FastCheck.record({ _tag: FastCheck.constant("Unix" as const), path: nonEmpty }),
  FastCheck.record({ _tag: FastCheck.constant("Vsock" as const), cid: vsockNumbers, port: vsockNumbers }),
  FastCheck.record({
    _tag: FastCheck.constant("Ssh" as const),
    host: FastCheck.oneof(
      FastCheck.domain(),
      FastCheck.ipV6(),
      FastCheck.stringMatching(/^[A-Za-z0-9_.][\w.-]{0,20}$/)
    ),
    user: optional(FastCheck.stringMatching(/^[A-Za-z0-9_.+][\w.+-]{0,20}$/)),
    port: optional(ports),
    target: FastCheck.oneof(
      FastCheck.record({ _tag: FastCheck.constant("Port" as const), port: ports }),
      FastCheck.record({
        _tag: FastCheck.constant("Socket" as const),
        path: FastCheck.stringMatching(/^[A-Za-z0-9/._][\w/.+@,:-]{0,30}$/)
      })
    ),
    compress: FastCheck.boolean()
  })
)

const credentials: FastCheck.Arbitrary<NbdUri.UriCredentials> = FastCheck.oneof(
  FastCheck.record({ _tag: FastCheck.constant("X509" as const), directory: optional(nonEmpty) }),
  FastCheck.record({ _tag: FastCheck.constant("Psk" as const), file: optional(nonEmpty) })
)

/**
 * A legal URI as a model: all eight schemes, every part of them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const uri: FastCheck.Arbitrary<NbdUri.NbdUri> = FastCheck.record({
  transport,
  exportName: FastCheck.oneof(
    text({ maxLength: 1024 }),
    FastCheck.constantFrom(".", "..", "/", "//", "a/../b", " ", "+")
  ),
  tls: FastCheck.record({
    required: FastCheck.boolean(),
    username: optional(text({})),
    credentials: optional(credentials),
    hostname: optional(nonEmpty),
    verifyPeer: FastCheck.boolean()
  })
})

/**
 * A legal URI as text, in the one way in which `NbdUri.format` writes it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const uriText: FastCheck.Arbitrary<string> = uri
  .map((model) => Option.getOrElse(Effect.runSync(Effect.option(NbdUri.format(model))), () => ""))
  .filter((written) => written !== "")

/**
 * What a random walk makes of URIs: pieces of them in any order, and odd bytes between. Some are legal.
 *
 * @since 0.1.0
 * @category constructors
 */
export const oddUriText: FastCheck.Arbitrary<string> = FastCheck.oneof(
  FastCheck.fullUnicodeString(),
  FastCheck.webUrl({
    validSchemes: ["nbd", "nbds", "nbd+unix", "nbds+vsock", "nbd+ssh"],
    withQueryParameters: true,
    withFragments: true
  }),
  FastCheck.array(
    FastCheck.constantFrom(
      "nbd",
      "nbds+ssh",
      "+unix",
      "+vsock",
      "://",
      "/",
      "?",
      "&",
      ";",
      "=",
      "@",
      ":",
      "[",
      "]",
      "::1",
      "%25",
      "%",
      "%00",
      "%2e%2e",
      "1",
      "4294967295",
      "host",
      "socket",
      "nbd-port",
      "tls-type",
      "psk",
      "compress",
      "on",
      "x-a",
      "#"
    ),
    { maxLength: 24 }
  ).map((pieces) => pieces.join("")),
  FastCheck.tuple(
    FastCheck.constantFrom("nbd://", "nbds+unix:///e?socket=s&", "nbd+vsock://", "nbd+ssh://h/?", "nbd://h/?"),
    FastCheck.asciiString()
  ).map(([before, after]) => before + after)
)

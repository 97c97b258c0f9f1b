/**
 * URIs as values, and every value that a URI can have.
 */
import * as NbdUri from "@effect-nbd/core/NbdUri"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"

export const parse = (text: string): NbdUri.NbdUri => Effect.runSync(NbdUri.parse(text))
export const refusal = (text: string) => Effect.runSync(Effect.flip(NbdUri.parse(text)))
export const format = (uri: NbdUri.NbdUri): string => Effect.runSync(NbdUri.format(uri))

export const tcp = (host: string, port: number, exportName = "") => NbdUri.of({ _tag: "Tcp", host, port }, exportName)
export const unix = (path: string, exportName = "") => NbdUri.of({ _tag: "Unix", path }, exportName)
export const vsock = (cid: number, port: number, exportName = "") => NbdUri.of({ _tag: "Vsock", cid, port }, exportName)
export const ssh = (host: string, changes: Partial<Extract<NbdUri.UriTransport, { readonly _tag: "Ssh" }>> = {}) =>
  NbdUri.of({
    _tag: "Ssh",
    host,
    user: undefined,
    port: undefined,
    target: { _tag: "Port", port: 10_809 },
    compress: false,
    ...changes
  })

const optional = <A>(values: FastCheck.Arbitrary<A>) => FastCheck.option(values, { nil: undefined })

const text = (limits: FastCheck.StringSharedConstraints) =>
  FastCheck.fullUnicodeString(limits).filter((value) => !value.includes("\0"))
const nonEmpty = text({ minLength: 1 })
const ports = FastCheck.integer({ min: 1, max: 65_535 })
const vsockNumbers = FastCheck.integer({ min: 0, max: 0xffff_fffe })

const transports: FastCheck.Arbitrary<NbdUri.UriTransport> = FastCheck.oneof(
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

export const uris: FastCheck.Arbitrary<NbdUri.NbdUri> = FastCheck.record({
  transport: transports,
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

/** What a random walk makes of URIs: pieces of them in any order, and odd bytes between. */
export const oddTexts: FastCheck.Arbitrary<string> = FastCheck.oneof(
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

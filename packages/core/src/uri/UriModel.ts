/**
 * What an NBD URI says, as data, and the limits of its parts.
 *
 * @since 0.1.0
 */
import { encodeText, maxStringBytes } from "../wire/Bytes.ts"

/**
 * How the server is reached.
 *
 * - `Tcp`: `host` is a name or an IP address without brackets, `port` is from 1 to 65535.
 * - `Unix`: the path of a socket on this machine.
 * - `Vsock`: a virtual machine's or its host's context id, and a port; both from 0 to 4294967294.
 * - `Ssh`: through an ssh program on this machine and nc on `host`. `user` and `port` are SSH's; without them ssh
 *   decides. `target` is the server as seen from there. `host`, `user` and the target's path consist of the characters
 *   that are let into an ssh command line (see `SshArguments`).
 *
 * @since 0.1.0
 * @category models
 */
export type UriTransport =
  | { readonly _tag: "Tcp"; readonly host: string; readonly port: number }
  | { readonly _tag: "Unix"; readonly path: string }
  | { readonly _tag: "Vsock"; readonly cid: number; readonly port: number }
  | {
    readonly _tag: "Ssh"
    readonly host: string
    readonly user: string | undefined
    readonly port: number | undefined
    readonly target: SshTarget
    readonly compress: boolean
  }

/**
 * A port of the other machine's own loopback, or a socket of it.
 *
 * @since 0.1.0
 * @category models
 */
export type SshTarget =
  | { readonly _tag: "Port"; readonly port: number }
  | { readonly _tag: "Socket"; readonly path: string }

/**
 * Where the credentials for TLS are: a directory of certificates in libnbd's layout, or a file of pre-shared keys.
 * `undefined` where the URI only says of which kind they are.
 *
 * @since 0.1.0
 * @category models
 */
export type UriCredentials =
  | { readonly _tag: "X509"; readonly directory: string | undefined }
  | { readonly _tag: "Psk"; readonly file: string | undefined }

/**
 * What a URI says of TLS.
 *
 * @since 0.1.0
 * @category models
 */
export interface UriTls {
  /** `nbds`: TLS, or no connection. */
  readonly required: boolean
  /** The user name of a pre-shared key. */
  readonly username: string | undefined
  readonly credentials: UriCredentials | undefined
  /** The name that the server's certificate has to be for, in place of the host. */
  readonly hostname: string | undefined
  readonly verifyPeer: boolean
}

/**
 * @since 0.1.0
 * @category models
 */
export interface NbdUri {
  readonly transport: UriTransport
  /** At most 4096 bytes of UTF-8 without NUL; empty for the server's default export. */
  readonly exportName: string
  readonly tls: UriTls
}

/**
 * The TLS of a URI that says nothing of it.
 *
 * @since 0.1.0
 * @category constants
 */
export const noTls: UriTls = {
  required: false,
  username: undefined,
  credentials: undefined,
  hostname: undefined,
  verifyPeer: true
}

/**
 * A URI that says where the server is, and nothing else unless an export is named.
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (transport: UriTransport, exportName = ""): NbdUri => ({ transport, exportName, tls: noTls })

/**
 * The NBD port of a URI that names none (C-236).
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultPort = 10_809

/**
 * Host of a TCP URI that names none.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultHost = "localhost"

/**
 * Context id of a vsock URI that names none: the host of this virtual machine.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultCid = 2

/**
 * Longest URI, in characters.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxUriLength = 65_536

/**
 * The eight schemes.
 *
 * @since 0.1.0
 * @category constants
 */
export const schemes: ReadonlyMap<string, { readonly over: UriTransport["_tag"]; readonly required: boolean }> =
  new Map([
    ["nbd", { over: "Tcp", required: false }],
    ["nbds", { over: "Tcp", required: true }],
    ["nbd+unix", { over: "Unix", required: false }],
    ["nbds+unix", { over: "Unix", required: true }],
    ["nbd+vsock", { over: "Vsock", required: false }],
    ["nbds+vsock", { over: "Vsock", required: true }],
    ["nbd+ssh", { over: "Ssh", required: false }],
    ["nbds+ssh", { over: "Ssh", required: true }]
  ])

/**
 * For example `nbds+unix`.
 *
 * @since 0.1.0
 * @category encoding
 */
export const schemeOf = ({ tls, transport }: Pick<NbdUri, "tls" | "transport">): string =>
  `nbd${tls.required ? "s" : ""}${suffixes[transport._tag]}`

const suffixes: Readonly<Record<UriTransport["_tag"], string>> = {
  Tcp: "",
  Unix: "+unix",
  Vsock: "+vsock",
  Ssh: "+ssh"
}

/**
 * Why a port of TCP is none, or `undefined`.
 *
 * @since 0.1.0
 * @category validation
 */
export const portRefusal = (port: number): string | undefined =>
  isWhole(port, 1, 65_535) ? undefined : "a port is a number from 1 to 65535"

/**
 * Why a vsock context id or port is none, or `undefined`. 4294967295 stands for any, and cannot be connected to.
 *
 * @since 0.1.0
 * @category validation
 */
export const vsockRefusal = (value: number): string | undefined =>
  isWhole(value, 0, 0xffff_fffe) ? undefined : "for vsock it is a number from 0 to 4294967294"

const isWhole = (value: number, least: number, most: number): boolean =>
  Number.isInteger(value) && value >= least && value <= most

/**
 * Why a server cannot have an export of that name, or `undefined` (C-003).
 *
 * @since 0.1.0
 * @category validation
 */
export const exportNameRefusal = (name: string): string | undefined =>
  encodeText(name).byteLength > maxStringBytes
    ? `an export name has at most ${maxStringBytes} bytes`
    : textRefusal(name)

/**
 * Why no URI can hold a text, or `undefined`.
 *
 * @since 0.1.0
 * @category validation
 */
export const textRefusal = (text: string): string | undefined =>
  text.includes("\0") || /\p{Surrogate}/u.test(text) ? "not well-formed text without NUL" : undefined

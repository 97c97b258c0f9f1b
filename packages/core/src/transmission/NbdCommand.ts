/**
 * What is sent for a request, or for a part of one.
 *
 * @since 0.1.0
 */
import type { GrantedContext } from "../Export.ts"
import type { CommandName, Request } from "../Request.ts"
import { commandCode } from "../wire/RequestHeader.ts"

/**
 * What a command has beside its range, where it has more.
 *
 * - `Pieces`: a read whose chunks are told apart.
 * - `Status`: the contexts that the server will answer for; those of them whose answers are kept; and these again in the
 *   order in which the caller wants them.
 * - `Lent`: a read into memory that the connection lends.
 * - `Raw`: any number, for tests of servers.
 *
 * @since 0.1.0
 * @category models
 */
export type CommandDetail =
  | { readonly _tag: "Pieces" }
  | {
    readonly _tag: "Status"
    readonly asked: ReadonlyMap<number, GrantedContext>
    readonly kept: ReadonlyMap<number, GrantedContext>
    readonly wanted: ReadonlyArray<GrantedContext>
  }
  | { readonly _tag: "Lent" }
  | { readonly _tag: "Raw"; readonly code: number }

/**
 * @since 0.1.0
 * @category models
 */
export interface NbdCommand {
  /** What was asked for. Of a request that is sent in parts, all of it. */
  readonly request: Request
  readonly name: CommandName
  /** Command flags as they go on the wire. */
  readonly flags: number
  readonly offset: bigint
  /** Bytes: of payload for a read or write, of effect otherwise. Up to 2^32 - 1; under extended headers 2^53 - 1. */
  readonly length: number
  /** What is sent behind the header, by reference: it must stay unchanged until the reply. */
  readonly payload: Uint8Array | undefined
  /** Where a read goes. Without it, memory is taken when the request is sent. */
  readonly destination: Uint8Array | undefined
  readonly detail: CommandDetail | undefined
}

const codes: { readonly [Name in Exclude<CommandName, "command">]: number } = {
  read: commandCode.READ,
  write: commandCode.WRITE,
  flush: commandCode.FLUSH,
  trim: commandCode.TRIM,
  cache: commandCode.CACHE,
  writeZeroes: commandCode.WRITE_ZEROES,
  blockStatus: commandCode.BLOCK_STATUS
}

/**
 * Code of a command on the wire.
 *
 * @since 0.1.0
 * @category encoding
 */
export const codeOf = ({ detail, name }: NbdCommand): number =>
  name === "command" ? detail?._tag === "Raw" ? detail.code : commandCode.READ : codes[name]

/**
 * The messages of the handshake, on both sides.
 *
 * @since 0.1.0
 */
import type { ExportNameReply } from "@effect-nbd/core/wire/ExportName"
import { ClientFlags, HandshakeFlags, TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import type { NewstyleGreeting, OldstyleGreeting } from "@effect-nbd/core/wire/Greeting"
import { type Info, infoType } from "@effect-nbd/core/wire/Info"
import type { MetaContextReply, MetaContextRequest } from "@effect-nbd/core/wire/MetaContext"
import { type InfoRequest, optionCode } from "@effect-nbd/core/wire/NbdOption"
import { isErrorType, type OptionReply, replyType } from "@effect-nbd/core/wire/OptionReply"
import * as FastCheck from "effect/FastCheck"
import { displayText, flagsOf, text, u16, u32, u64 } from "./Fields.ts"

const { FIXED_NEWSTYLE, NO_ZEROES } = HandshakeFlags

/**
 * Transmission flags, unknown ones among them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const transmissionFlags: FastCheck.Arbitrary<TransmissionFlags> = flagsOf(TransmissionFlags, 0xffff).map((
  flags
) => TransmissionFlags(flags))

/**
 * @since 0.1.0
 * @category constructors
 */
export const newstyleGreeting: FastCheck.Arbitrary<NewstyleGreeting> = FastCheck.record({
  _tag: FastCheck.constant("NewstyleGreeting"),
  flags: flagsOf({ FIXED_NEWSTYLE, NO_ZEROES }, 0xffff).map((flags) => HandshakeFlags(flags))
})

/**
 * @since 0.1.0
 * @category constructors
 */
export const oldstyleGreeting: FastCheck.Arbitrary<OldstyleGreeting> = FastCheck.record({
  _tag: FastCheck.constant("OldstyleGreeting"),
  exportSize: u64,
  flags: transmissionFlags
})

/**
 * @since 0.1.0
 * @category constructors
 */
export const clientFlags: FastCheck.Arbitrary<ClientFlags> = flagsOf({ FIXED_NEWSTYLE, NO_ZEROES }, 0xffff_ffff).map((
  flags
) => ClientFlags(flags))

/**
 * The answer to NBD_OPT_EXPORT_NAME.
 *
 * @since 0.1.0
 * @category constructors
 */
export const exportNameReply: FastCheck.Arbitrary<ExportNameReply> = FastCheck.record({
  exportSize: u64,
  flags: transmissionFlags
})

/**
 * Any option with up to 64 bytes of any data.
 *
 * @since 0.1.0
 * @category constructors
 */
export const option: FastCheck.Arbitrary<{ readonly option: number; readonly data: Uint8Array }> = FastCheck.record({
  option: FastCheck.oneof(FastCheck.constantFrom(...Object.values(optionCode)), u32),
  data: FastCheck.uint8Array({ maxLength: 64 })
})

/**
 * The data of NBD_OPT_INFO and NBD_OPT_GO.
 *
 * @since 0.1.0
 * @category constructors
 */
export const infoRequest: FastCheck.Arbitrary<InfoRequest> = FastCheck.record({
  exportName: text(),
  types: FastCheck.uniqueArray(FastCheck.oneof(FastCheck.constantFrom(...Object.values(infoType)), u16), {
    maxLength: 32
  })
})

/**
 * The data of NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT.
 *
 * @since 0.1.0
 * @category constructors
 */
export const metaContextRequest: FastCheck.Arbitrary<MetaContextRequest> = FastCheck.record({
  exportName: text(),
  queries: FastCheck.array(
    FastCheck.oneof(FastCheck.constantFrom("base:", "base:allocation", "qemu:dirty-bitmap:b0"), text()),
    { maxLength: 9 }
  )
})

/**
 * The payload of NBD_REP_META_CONTEXT.
 *
 * @since 0.1.0
 * @category constructors
 */
export const metaContextReply: FastCheck.Arbitrary<MetaContextReply> = FastCheck.record({
  id: u32,
  name: text().filter((name) => name !== "")
})

/**
 * The payload of NBD_REP_INFO, of known and of unknown types.
 *
 * @since 0.1.0
 * @category constructors
 */
export const info: FastCheck.Arbitrary<Info> = FastCheck.oneof(
  FastCheck.record({ _tag: FastCheck.constant("ExportInfo" as const), exportSize: u64, flags: transmissionFlags }),
  FastCheck.record({ _tag: FastCheck.constant("NameInfo" as const), name: text() }),
  FastCheck.record({ _tag: FastCheck.constant("DescriptionInfo" as const), description: text() }),
  FastCheck.record({ _tag: FastCheck.constant("BlockSizeInfo" as const), minimum: u32, preferred: u32, maximum: u32 }),
  FastCheck.record({
    _tag: FastCheck.constant("UnknownInfo" as const),
    type: FastCheck.integer({ min: 4, max: 0xffff }),
    payload: FastCheck.uint8Array({ maxLength: 64 })
  })
)

/**
 * Option replies that a client may read; error types are known and unknown ones.
 *
 * @since 0.1.0
 * @category constructors
 */
export const optionReply: FastCheck.Arbitrary<OptionReply> = FastCheck.oneof(
  FastCheck.constant({ _tag: "Ack" as const }),
  FastCheck.record({ _tag: FastCheck.constant("Server" as const), name: text(), description: text() }),
  FastCheck.record({ _tag: FastCheck.constant("InfoReply" as const), info }),
  metaContextReply.map((context) => ({ _tag: "MetaContextReply" as const, ...context })),
  FastCheck.record({
    _tag: FastCheck.constant("ErrorReply" as const),
    type: FastCheck.oneof(
      FastCheck.constantFrom(...Object.values(replyType).filter(isErrorType)),
      FastCheck.integer({ min: 0x8000_0000, max: 0xffff_ffff })
    ),
    message: displayText
  })
)

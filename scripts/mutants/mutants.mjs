/**
 * Faults that are planted in the client, one at a time, each of them a rule broken: what is replaced by what, where.
 * `find` stands exactly once in its file. `npm run mutants` shows that the tests notice every one of them.
 */
const core = "packages/core/src"

export const mutants = [
  // Replies.
  {
    rule: "C-176",
    fault: "a read is complete although bytes of it are missing",
    file: `${core}/transmission/ReplyAssembly.ts`,
    find: `if (command.name !== "read" || pending.coverage.isComplete(command.length)) return`,
    replace: `if (command.length >= 0) return`
  },
  {
    rule: "C-176",
    fault: "a byte may come twice: the lengths add up, the coverage does not",
    file: `${core}/transmission/ReplyAssembly.ts`,
    find: `if (!coverage.add(position, length)) {`,
    replace: `if (!coverage.add(position, length) && length < 0) {`
  },
  {
    rule: "C-154",
    fault: "a reply is taken for the latest request, whatever its cookie",
    file: `${core}/transmission/InFlight.ts`,
    find: `return cookie > this.lastSent ? undefined : this.byCookie.get(cookie)`,
    replace: `return this.byCookie.get(cookie) ?? this.byCookie.get(this.lastSent)`
  },
  {
    rule: "H-078",
    fault: "a reply is taken to a request that has not left yet",
    file: `${core}/transmission/InFlight.ts`,
    find: `return cookie > this.lastSent ? undefined : this.byCookie.get(cookie)`,
    replace: `return this.byCookie.get(cookie)`
  },
  {
    rule: "C-173",
    fault: "bounds of content by addition, in 32 bits",
    file: `${core}/transmission/ReplyAssembly.ts`,
    find: `position > command.length || length > command.length - position`,
    replace: `((position + length) | 0) > command.length`
  },
  {
    rule: "C-173",
    fault: "content may begin before the request",
    file: `${core}/transmission/ReplyAssembly.ts`,
    find: `const before = offset < command.offset`,
    replace: `const before = offset < 0n`
  },
  {
    rule: "H-106",
    fault: "content may come where an error was reported",
    file: `${core}/transmission/ReplyAssembly.ts`,
    find: `(error) => error >= position && error - position < length`,
    replace: `(error) => error > position && error - position < length`
  },
  {
    rule: "C-179",
    fault: "several chunks in answer to NBD_CMD_FLAG_DF",
    file: `${core}/transmission/ReplyAssembly.ts`,
    find: `(command.flags & CommandFlags.DF) !== 0 && coverage.fragments > 0`,
    replace: `(command.flags & CommandFlags.DF) !== 0 && coverage.fragments > 1`
  },
  {
    rule: "H-125",
    fault: "an error chunk with the value 0 is a success",
    file: `${core}/transmission/ReplyAssembly.ts`,
    find: `if (payload.error === 0) {`,
    replace: `if (payload.error === 0) return\n  if (payload.error < 0) {`
  },
  {
    rule: "H-131",
    fault: "the last error is what the caller hears of, and not the first",
    file: `${core}/transmission/ReplyAssembly.ts`,
    find: `pending.failure ??= commandError(pending, payload.error`,
    replace: `pending.failure = commandError(pending, payload.error`
  },
  {
    rule: "C-127",
    fault: "the memory of an interrupted read is written to",
    file: `${core}/transmission/WaitingFiber.ts`,
    find: `return RuntimeFlags.interruptible(this.flags) &&`,
    replace: `return this.fiber === undefined &&`
  },
  {
    rule: "C-127",
    fault: "a read that cannot be interrupted is given up all the same",
    file: `${core}/transmission/WaitingFiber.ts`,
    find: `return RuntimeFlags.interruptible(this.flags) &&`,
    replace: `return`
  },
  {
    rule: "C-158",
    fault: "chunks are taken that were never agreed on",
    file: `${core}/transmission/ReplyCheck.ts`,
    find: `Simple: [magic.SIMPLE_REPLY],`,
    replace: `Simple: [magic.SIMPLE_REPLY, magic.STRUCTURED_REPLY],`
  },
  {
    rule: "C-159",
    fault: "a simple success to a read, although replies come in chunks",
    file: `${core}/transmission/ReplyReader.ts`,
    find: `if (isRead && this.replyStyle !== "Simple") {`,
    replace: `if (isRead && this.replyStyle === "Extended") {`
  },
  {
    rule: "C-226",
    fault: "an extended reply may name another offset",
    file: `${core}/transmission/ReplyReader.ts`,
    find: `if (offset !== pending.command.offset) {`,
    replace: `if (offset < pending.command.offset) {`
  },
  {
    rule: "C-165",
    fault: "a data chunk may be longer than its request",
    file: `${core}/transmission/ReplyCheck.ts`,
    find: `length > payloadHead.OFFSET_DATA && length <= longest`,
    replace: `length > payloadHead.OFFSET_DATA`
  },
  {
    rule: "C-172",
    fault: "a NONE chunk need not be the last",
    file: `${core}/transmission/ReplyCheck.ts`,
    find: `return isLast ? undefined : [`,
    replace: `return isLast || length === 0 ? undefined : [`
  },
  {
    rule: "C-167",
    fault: "chunks of unknown types are skipped",
    file: `${core}/transmission/ReplyCheck.ts`,
    find: `if (!isErrorChunk(type)) {`,
    replace: `if (!isErrorChunk(type) && type < 4) {`
  },
  // Block status.
  {
    rule: "C-188",
    fault: "the status of a context may come twice",
    file: `${core}/transmission/ReplyAssembly.ts`,
    find: `if (status.has(contextId)) {`,
    replace: `if (status.size > 1000) {`
  },
  {
    rule: "C-186",
    fault: "the status of a context may be missing",
    file: `${core}/transmission/ReplyAssembly.ts`,
    find: `if (missing === undefined) return`,
    replace: `if (missing === undefined || pending.status !== undefined) return`
  },
  {
    rule: "C-189",
    fault: "an extent may have no bytes",
    file: `${core}/transmission/ContextStatus.ts`,
    find: `    if (length === 0n) return "an extent of no bytes"\n    if (covered`,
    replace: `    if (covered`
  },
  {
    rule: "C-190",
    fault: "extents may go on behind the end of the request",
    file: `${core}/transmission/ContextStatus.ts`,
    find: `if (covered >= requested) return`,
    replace: `if (covered > requested * 2n) return`
  },
  // Requests.
  {
    rule: "C-093",
    fault: "bounds of a request by addition",
    file: `${core}/transmission/CommandCheck.ts`,
    find: `(offset > target.size || BigInt(length) > target.size - offset)`,
    replace: `BigInt.asUintN(64, offset + BigInt(length)) > target.size`
  },
  {
    rule: "C-102",
    fault: "the offset of a request need not be aligned",
    file: `${core}/transmission/CommandCheck.ts`,
    find: `!(isAligned(offset, minimumBlockSize) && bytes % minimumBlockSize === 0)`,
    replace: `bytes % minimumBlockSize !== 0`
  },
  {
    rule: "C-125",
    fault: "writes to a read-only export are sent",
    file: `${core}/transmission/CommandCheck.ts`,
    find: `strictness.commands && target.isReadOnly ?`,
    replace: `strictness.commands && target.isReadOnly && command === "trim" ?`
  },
  {
    rule: "C-198",
    fault: "the goodbye does not wait for replies",
    file: `${core}/transmission/Transmission.ts`,
    find: `this.inFlight.size > 0 || this.queue.size > 0) return`,
    replace: `this.queue.size > 0) return`
  },
  {
    rule: "C-162",
    fault: "after ESHUTDOWN commands go on",
    file: `${core}/transmission/Transmission.ts`,
    find: `      this.events.onServerShutdown()\n`,
    replace: `\n`
  },
  {
    rule: "C-223",
    fault: "a payload under extended headers is not announced",
    file: `${core}/transmission/Preparation.ts`,
    find: `bit(replyStyle === "Extended", CommandFlags.PAYLOAD_LEN)`,
    replace: `bit(replyStyle === undefined, CommandFlags.PAYLOAD_LEN)`
  },
  // The handshake.
  {
    rule: "C-084",
    fault: "plaintext behind the agreement to TLS is kept",
    file: `${core}/handshake/StartTls.ts`,
    find: `reader.buffered === 0 ? Effect.void`,
    replace: `reader.buffered >= 0 ? Effect.void`
  },
  {
    rule: "C-073",
    fault: "TLS that is required and refused is done without",
    file: `${core}/handshake/StartTls.ts`,
    find: `return intent.mode === "Allow" ? false :`,
    replace: `return intent.mode === "Allow" || refusal.message !== "" ? false :`
  },
  {
    rule: "C-012",
    fault: "TLS that is required is not missed with an oldstyle server",
    file: `${core}/handshake/StartTls.ts`,
    find: `intent._tag === "Encrypt" && intent.mode === "Require" ?`,
    replace: `intent._tag === "Encrypt" && intent.mode === "Require" && protocol === "NotFixed" ?`
  },
  {
    rule: "C-013",
    fault: "handshake flags in an oldstyle greeting are let pass",
    file: `${core}/wire/Greeting.ts`,
    find: `if (upper !== 0) return`,
    replace: `if (upper > 0xff) return`
  },
  {
    rule: "C-023",
    fault: "a reply may be to another option",
    file: `${core}/wire/OptionReply.ts`,
    find: `if (header.option !== option) {`,
    replace: `if (header.option > 0xff) {`
  },
  {
    rule: "C-039",
    fault: "bounds of a name by addition, in 32 bits",
    file: `${core}/wire/OptionReply.ts`,
    find: `if (nameLength > payload.byteLength - 4) {`,
    replace: `if (((nameLength + 4) | 0) > payload.byteLength) {`
  },
  {
    rule: "C-025",
    fault: "an unknown error is no final reply",
    file: `${core}/wire/OptionReply.ts`,
    find: `type >= 0x8000_0000`,
    replace: `type >= 0x8000_0000 && type < 0x8000_0020`
  },
  {
    rule: "C-024",
    fault: "an acknowledgement may have data",
    file: `${core}/wire/OptionReply.ts`,
    find: `if (type === replyType.ACK) return 0`,
    replace: `if (type === replyType.ACK) return 4`
  },
  {
    rule: "H-024",
    fault: "replies without an end are all kept",
    file: `${core}/handshake/Haggling.ts`,
    find: `if (count <= limits.replies && sum <= limits.bytes) return undefined`,
    replace: `if (count <= limits.replies) return undefined`
  },
  {
    rule: "C-020",
    fault: "an option is sent over bytes that nobody asked for",
    file: `${core}/handshake/Haggling.ts`,
    find: `if (reader.buffered > 0) {`,
    replace: `if (reader.buffered > 65_536) {`
  },
  {
    rule: "C-043",
    fault: "any refusal of GO leads to NBD_OPT_EXPORT_NAME",
    file: `${core}/handshake/InfoAndGo.ts`,
    find: `return reply.type === replyType.ERR_UNSUP && agreed`,
    replace: `return agreed`
  },
  {
    rule: "C-220",
    fault: "NBD_OPT_EXPORT_NAME although extended headers were agreed on",
    file: `${core}/handshake/InfoAndGo.ts`,
    find: ` && agreed.replyStyle !== "Extended"\n`,
    replace: `\n`
  },
  {
    rule: "C-059",
    fault: "a server that goes on asking for block sizes is asked again and again",
    file: `${core}/handshake/InfoAndGo.ts`,
    find: `ERR_BLOCK_SIZE_REQD && !wanted.blockSize`,
    replace: `ERR_BLOCK_SIZE_REQD`
  },
  {
    rule: "C-123",
    fault: "transmission flags of zero are let pass",
    file: `${core}/handshake/InfoAndGo.ts`,
    find: `if (info.flags === 0 && !zeroFlags) return yield* noFlags(option)`,
    replace: ``
  },
  {
    rule: "H-058",
    fault: "two contexts may have one id",
    file: `${core}/handshake/MetaContext.ts`,
    find: `if (ids.has(id)) return`,
    replace: `if (ids.has(id) && id > 1000) return`
  },
  // What is below, and around it.
  {
    rule: "C-205",
    fault: "the end of the stream wakes nobody",
    file: `${core}/framing/FrameReader.ts`,
    find: `(this.buffer.length < waiting.count && this.end === undefined)`,
    replace: `this.buffer.length < waiting.count`
  },
  {
    rule: "T-10",
    fault: "the length of a name in characters",
    file: `${core}/handshake/ExportName.ts`,
    find: `encodeText(text).byteLength > maxStringBytes`,
    replace: `text.length > maxStringBytes`
  },
  {
    rule: "C-001",
    fault: "a cookie loses its upper half",
    file: `${core}/wire/Reply.ts`,
    find: `view.getUint32(at + 8) * 0x1_0000_0000 + view.getUint32(at + 12)`,
    replace: `view.getUint32(at + 12)`
  },
  {
    rule: "the table of states",
    fault: "a read is let through while the handle negotiates",
    file: `${core}/HandleState.ts`,
    find: `  ...requests,`,
    replace: `  ...requests,\n  read: ["Negotiating", "Connected"],`
  }
]

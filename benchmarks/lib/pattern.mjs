/**
 * What exports hold: every eight bytes are their own offset, as nbdkit's pattern plugin has it. Reads are checked at
 * both ends of a block; writes put it there.
 */

/** Fills all of `bytes`, which belong at `offset`. */
export const pattern = (bytes, offset) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at < bytes.byteLength; at += 8) putOffset(view, at, offset)
  return bytes
}

/** Fills the first and the last eight bytes. */
export const stamp = (bytes, offset) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  putOffset(view, 0, offset)
  putOffset(view, bytes.byteLength - 8, offset)
}

/** Throws unless the first and the last eight bytes are what they have to be, and nothing is missing between them. */
export const check = (bytes, offset, length) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const isRight = (at) => view.getBigUint64(at) === BigInt(offset + at)
  if (bytes.byteLength !== length || !isRight(0) || !isRight(length - 8)) {
    throw new Error(`wrong content at offset ${offset}`)
  }
}

const putOffset = (view, at, offset) => {
  view.setUint32(at, Math.floor((offset + at) / 0x1_0000_0000))
  view.setUint32(at + 4, (offset + at) % 0x1_0000_0000)
}

/** Where things are in the export of the soak: a range that all clients read, and then one for each of them. */

export const sharedBytes = 1_048_576
export const ownBytes = 1_048_576

/** What stands at an offset of the shared range. */
export const sharedByte = (offset) => (Math.imul(offset + 1, 0x9e3779b1) >>> 24) & 0xff

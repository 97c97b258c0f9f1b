/**
 * The magic numbers of the protocol.
 *
 * @since 0.1.0
 */

/**
 * Specification, "Newstyle negotiation", "Oldstyle negotiation", "Request message", "Simple reply message" and
 * "Structured reply chunk message"; the extended ones stand in the extension "extension-ext-header".
 *
 * @since 0.1.0
 * @category constants
 */
export const magic = {
  /** First 8 bytes of every greeting, `NBDMAGIC` in ASCII. */
  GREETING: 0x4e42444d41474943n,
  /** Second 8 bytes of a newstyle greeting, and the start of every option request: `IHAVEOPT` in ASCII. */
  OPTION: 0x49484156454f5054n,
  /** Second 8 bytes of an oldstyle greeting. */
  OLDSTYLE: 0x0000420281861253n,
  /** Start of every option reply. */
  OPTION_REPLY: 0x0003e889045565a9n,
  /** Start of every compact request. */
  REQUEST: 0x25609513,
  /** Start of every simple reply. */
  SIMPLE_REPLY: 0x67446698,
  /** Start of every structured reply chunk. */
  STRUCTURED_REPLY: 0x668e33ef,
  /** Start of every request once extended headers were agreed on. */
  EXTENDED_REQUEST: 0x21e41c71,
  /** Start of every reply chunk once extended headers were agreed on. */
  EXTENDED_REPLY: 0x6e8a278c
} as const

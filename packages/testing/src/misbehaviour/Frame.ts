/**
 * What a server says, in frames whose every field can be forged.
 *
 * It takes apart what the honest server would send, and puts frames together again. What the fields should be is known
 * to the wire modules; here each is what it is said to be.
 *
 * @since 0.1.0
 */

/**
 * The same module of the server package.
 *
 * @since 0.1.0
 */
export * from "@effect-nbd/server/misbehaviour/Frame"

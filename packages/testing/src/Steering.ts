/**
 * What a test tells the fake server to do with a request.
 *
 * It decides and it holds back; it executes nothing. However a request is steered, a write that is let through takes
 * effect when it arrives, and only its answer waits; a read is carried out when it is answered.
 *
 * @since 0.1.0
 */

/**
 * The same module of the server package.
 *
 * @since 0.1.0
 */
export * from "@effect-nbd/server/Steering"

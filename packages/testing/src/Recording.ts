/**
 * What the fake server remembers of its clients, for tests to look at and to wait for.
 *
 * Every list is a ring that keeps the newest entries only, so memory is bounded however long a server runs. It decides
 * nothing.
 *
 * @since 0.1.0
 */

/**
 * The same module of the server package.
 *
 * @since 0.1.0
 */
export * from "@effect-nbd/server/Recording"

/**
 * Sends what a session says: every message goes through here, and is changed by the misbehaviours in force.
 *
 * Where none is in force nothing is looked at, and bytes leave as they came.
 *
 * @since 0.1.0
 */

/**
 * The same module of the server package.
 *
 * @since 0.1.0
 */
export * from "@effect-nbd/server/misbehaviour/Voice"

/**
 * The mouth of a session: everything that it says goes through here, and is changed by the misbehaviours in force.
 *
 * Where none is in force nothing is looked at, and bytes leave as they came.
 *
 * @since 0.1.0
 */
export * from "@effect-nbd/server/misbehaviour/Voice"

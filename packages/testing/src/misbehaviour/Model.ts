/**
 * What a misbehaviour is: a name, a rule, a sentence, what a client should make of it, and what is said in place of what
 * the honest server would say.
 *
 * It is data and a function without effects: a value can serve in any number of servers at a time.
 *
 * @since 0.1.0
 */

/**
 * The same module of the server package.
 *
 * @since 0.1.0
 */
export * from "@effect-nbd/server/misbehaviour/Model"

/**
 * The meta contexts of an export by id and by name: a server may have selected many, and each chunk names one.
 *
 * @since 0.1.0
 */
import type { GrantedContext } from "../Export.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface ContextTable {
  readonly byId: ReadonlyMap<number, GrantedContext>
  readonly byName: ReadonlyMap<string, GrantedContext>
}

const known = new WeakMap<ReadonlyArray<GrantedContext>, ContextTable>()

/**
 * Made once for each export. Of contexts of the same name the first one counts.
 *
 * @since 0.1.0
 * @category constructors
 */
export const contextTable = (contexts: ReadonlyArray<GrantedContext>): ContextTable => {
  const found = known.get(contexts)
  if (found !== undefined) return found
  const table = {
    byId: idMap(contexts),
    byName: new Map(contexts.toReversed().map((context) => [context.name, context]))
  }
  known.set(contexts, table)
  return table
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const idMap = (contexts: ReadonlyArray<GrantedContext>): ReadonlyMap<number, GrantedContext> =>
  new Map(contexts.map((context) => [context.id, context]))

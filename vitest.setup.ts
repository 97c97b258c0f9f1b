import { effect, it, layer, prop, scoped } from "@effect/vitest"
import { afterEach } from "vitest"

/**
 * A test in memory goes from microtask to microtask, and so does the next one: between two of them there is a turn for
 * everything else, Vitest's own messages among it, which otherwise waits for minutes where bytes come one by one.
 */
afterEach(() => new Promise<void>((resolve) => void setImmediate(resolve)))

/**
 * `layer` gives its tests the `it` of everybody, with the layer's own `effect` and `scoped` put in. Files that run in one
 * process share it, and the next one would have no TestClock.
 */
Object.assign(it, { effect, layer, prop, scoped })

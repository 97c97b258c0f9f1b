/**
 * `node scripts/lib/compile.mjs PROGRAM ARGUMENTS…`: runs the program that the module PROGRAM loads, and keeps the code
 * that V8 has compiled on the way. What it has not come by is compiled when it is needed.
 */
import { writeFileSync } from "node:fs"
import { createRequire } from "node:module"

const { compiled, load, run } = createRequire(import.meta.url)(process.argv[2])
process.argv.splice(1, 1)
const script = load()
process.on("exit", () => writeFileSync(compiled, script.createCachedData()))
run(script)

/**
 * The bundled program, with the code that V8 compiled of it when it was run before, where the cache of the user has that.
 *
 * Modules in the manner of CommonJS, since Node starts its other loader only where it is needed.
 */
"use strict"
const module_ = require("node:module")
const path = require("node:path")
const cache = require("./cache.js")

const bundle = path.join(__dirname, "..", "dist", "effect-nbd.cjs")

/** Runs the program. A Node that can keep compiled code does so itself, in a folder that nobody else can write to. */
exports.run = () => {
  const folder = cache.folder()
  if (folder === undefined) require(bundle)
  else if (module_.enableCompileCache === undefined) cache.run(bundle, folder)
  else {
    module_.enableCompileCache(folder)
    require(bundle)
  }
}

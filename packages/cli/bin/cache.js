/**
 * Compiled code of the program, kept in the user's own cache folder: for Node before 22.1, which keeps none itself.
 *
 * V8 compares compiled code with a source by its length alone, so the hash of the whole source is the name of the file.
 * Whoever could write to it could run anything as this user: the folder, the one above and the file have to be the
 * user's own, and nobody else's to write. Where anything is not so, or cannot be done, the program is compiled as usual,
 * and nothing is said.
 */
"use strict"
const fs = require("node:fs")
const os = require("node:os")
const path = require("node:path")

/** What others could change is mode 0o022. */
const isOurs = (stats) => stats.uid === process.getuid() && (stats.mode & 0o022) === 0

/** `undefined` where that fails. */
const attempt = (f) => {
  try {
    return f()
  } catch {
    return undefined
  }
}

/** The cache folder of the user: by the XDG Base Directory Specification, which takes no relative path. */
const home = () => {
  const named = process.env.XDG_CACHE_HOME
  return named !== undefined && path.isAbsolute(named) ? named : path.join(os.homedir(), ".cache")
}

/**
 * The folder of compiled code, made if it is not there; `undefined` where there is none that can be trusted, or none is
 * wanted. Windows has no owners and modes of this kind.
 */
exports.folder = () =>
  attempt(() => {
    if (process.env.NODE_DISABLE_COMPILE_CACHE !== undefined || process.getuid === undefined) return undefined
    const above = home()
    const folder = path.join(above, "effect-nbd")
    const made = fs.lstatSync(folder, { throwIfNoEntry: false })
    // What things are made in is looked at before: the home of root may be that of somebody else, as sudo leaves it.
    if (fs.statSync(above, { throwIfNoEntry: false }) === undefined) {
      if (!isOurs(fs.statSync(path.dirname(above)))) return undefined
      // Not with those above it: a file system that says ENOENT has Node try again for ever.
      fs.mkdirSync(above, { mode: 0o700 })
    }
    if (!isOurs(fs.statSync(above))) return undefined
    if (made === undefined) fs.mkdirSync(folder, { mode: 0o700 })
    const stats = fs.lstatSync(folder)
    // Nobody else may even enter it: inside, Node makes folders by the user's own umask.
    return stats.isDirectory() && isOurs(stats) && (stats.mode & 0o077) === 0 ? folder : undefined
  })

/** Runs a CommonJS file with its compiled code, which is kept at the end of a run that found none. */
exports.run = (file, folder) => {
  const { createRequire, wrap } = require("node:module")
  const { constants, Script } = require("node:vm")
  const source = fs.readFileSync(file)
  const place = path.join(folder, `${keyOf(source)}${suffix}`)
  const kept = attempt(() => read(place))
  // esbuild writes nothing but ASCII.
  const script = new Script(wrap(source.latin1Slice()), {
    filename: file,
    cachedData: kept,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER
  })
  // At the end, when what a run needs has been compiled.
  if (kept === undefined || script.cachedDataRejected) {
    process.once("exit", () => attempt(() => write(place, script.createCachedData())))
  }
  const module = { exports: {} }
  script.runInThisContext()(module.exports, createRequire(file), module, file, path.dirname(file))
}

const suffix = ".code"

/** How many are kept: of several commands, and of several versions of the program or of Node. */
const most = 8

const digestOf = (...parts) => {
  const hash = require("node:crypto").createHash("sha256")
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** A run compiles what its command needs, so each command has a file of its own. */
const command = () => /^[a-z]{1,16}$/.exec(process.argv[2] ?? "")?.[0] ?? ""

const keyOf = (source) => {
  const runtime = `${process.version} ${process.versions.v8} ${process.arch} ${process.platform}`
  return digestOf(source, `${runtime} ${command()}`).toString("hex")
}

/** V8 does not look for damage in what it is given, so the file begins with the hash of the rest. */
const read = (place) => {
  const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants
  const fd = fs.openSync(place, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  try {
    const stats = fs.fstatSync(fd)
    if (!stats.isFile() || !isOurs(stats)) return undefined
    const bytes = fs.readFileSync(fd)
    const code = bytes.subarray(32)
    return digestOf(code).equals(bytes.subarray(0, 32)) ? code : undefined
  } finally {
    fs.closeSync(fd)
  }
}

/** Another process sees the whole file or none. */
const write = (place, code) => {
  const draft = `${place}.${process.pid}`
  try {
    fs.writeFileSync(draft, Buffer.concat([digestOf(code), code]), { flag: "wx", mode: 0o600 })
    fs.renameSync(draft, place)
  } catch (error) {
    attempt(() => fs.unlinkSync(draft))
    throw error
  }
  removeOld(path.dirname(place))
}

/** Drafts of processes that were killed are among them. */
const removeOld = (folder) => {
  const files = fs.readdirSync(folder)
    .filter((name) => name.includes(suffix))
    .map((name) => ({ name, at: fs.statSync(path.join(folder, name)).mtimeMs }))
    .toSorted((a, b) => b.at - a.at)
  for (const { name } of files.slice(most)) fs.unlinkSync(path.join(folder, name))
}

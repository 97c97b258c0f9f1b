/**
 * Child processes: what they print, how long they take, what they cost, and that none outlives the run.
 */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"

/** Often enough to see a short program's memory, seldom enough not to be in its way. */
const samplingMillis = 25

const started = new Set()
let isOver = false

/** Ends everything that was started here, each by its own id, and lets nothing begin: who waits is told of a failure. */
export const endAll = () => {
  isOver = true
  for (const child of started) end(child, "SIGTERM")
}

const begin = ([program, ...args], options) => {
  if (isOver) throw new Error("interrupted")
  const child = spawn(program, args, { detached: true, ...options })
  started.add(child)
  return child
}

/** Programs lead process groups of their own, so that a shell's child ends with the shell. */
const end = (child, signal) => {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // Gone by itself in between.
  }
}

/** A child that runs until it is ended: its process, what it has said, and how to end it. */
export const start = (command) => {
  const child = begin(command, { stdio: ["ignore", "ignore", "pipe"] })
  let said = ""
  child.stderr.setEncoding("utf8").on("data", (text) => said += text)
  const ended = new Promise((resolve) => child.once("close", resolve).once("error", resolve))
  return {
    isRunning: () => child.pid !== undefined && child.exitCode === null && child.signalCode === null,
    said: () => said.trim(),
    stop: async () => {
      end(child, "SIGTERM")
      await ended
      started.delete(child)
    }
  }
}

/** A program was ended because it took longer than it may. */
export class TooSlowError extends Error {
  constructor(program, seconds) {
    super(`${program} took more than ${seconds} s`)
    this.seconds = seconds
  }
}

/** Runs a program to its end. Fails with what it said, unless it exits with 0. */
export const run = (command, { onStart, timeoutSeconds = 120, ...options } = {}) =>
  new Promise((resolve, reject) => {
    const child = begin(command, { stdio: ["ignore", "pipe", "pipe"], ...options })
    const output = { stdout: "", stderr: "" }
    for (const name of ["stdout", "stderr"]) child[name].setEncoding("utf8").on("data", (text) => output[name] += text)
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      end(child, "SIGKILL")
    }, timeoutSeconds * 1000)
    const stop = onStart?.(child.pid)
    const finish = () => {
      started.delete(child)
      clearTimeout(timer)
      stop?.()
    }
    child.on("error", (error) => {
      finish()
      reject(error)
    })
    child.on("close", (code, signal) => {
      finish()
      if (code === 0) resolve(output)
      else if (isLate) reject(new TooSlowError(command[0], timeoutSeconds))
      else reject(new Error(`${command[0]} ended with ${signal ?? code}: ${(output.stderr || output.stdout).trim()}`))
    })
  })

/**
 * What programs are told of their surroundings: all but what changes how Node starts, such as more certificates to read,
 * which is a matter of one machine and counts for some of the programs alone.
 */
const { NODE_EXTRA_CA_CERTS: _certificates, NODE_OPTIONS: _options, ...surroundings } = process.env

/**
 * Runs a program under the shell's `time`, the one way that is everywhere: Node does not tell what a child has used.
 * Memory is looked up while it runs, where the system has /proc.
 */
export const timed = async (command, { env = surroundings, ...options } = {}) => {
  let maxRssBytes
  const watch = (shell) => {
    const timer = setInterval(() => {
      const peak = peakMemory(shell)
      if (peak !== undefined) maxRssBytes = peak
    }, samplingMillis)
    return () => clearInterval(timer)
  }
  const script = "TIMEFORMAT=\"$0 %R %U %S\"; time \"$@\""
  const marker = "elapsed-user-system"
  const { stderr, stdout } = await run(["bash", "-c", script, marker, ...command], {
    env: { ...env, LC_ALL: "C" },
    onStart: watch,
    ...options
  })
  const [elapsed = 0, user = 0, system = 0] = stderr.slice(stderr.lastIndexOf(marker)).split(" ").slice(1).map(Number)
  return { stdout, seconds: elapsed, cpuSeconds: user + system, maxRssBytes }
}

/** The most memory that the shell's child has held so far. */
const peakMemory = (shell) => {
  try {
    const child = readFileSync(`/proc/${shell}/task/${shell}/children`, "utf8").trim()
    const kibibytes = /^VmHWM:\s*(\d+) kB/m.exec(readFileSync(`/proc/${child}/status`, "utf8"))?.[1]
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
  } catch {
    return undefined
  }
}

export const isInstalled = (program) => run(["sh", "-c", "command -v \"$0\"", program]).then(() => true, () => false)

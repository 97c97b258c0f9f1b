/**
 * Child processes: what they print, how long they take, what they cost.
 */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"

/** Often enough to see a short program's memory, seldom enough not to be in its way. */
const samplingMillis = 40

/** Runs a program to its end. Fails with what it said, unless it exits with 0. */
export const run = ([program, ...args], { onStart, timeoutSeconds = 120, ...options } = {}) =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options })
    const output = { stdout: "", stderr: "" }
    for (const name of ["stdout", "stderr"]) child[name].setEncoding("utf8").on("data", (text) => output[name] += text)
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutSeconds * 1000)
    const stop = onStart?.(child.pid)
    const finish = () => {
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
      else reject(new Error(`${program} ended with ${signal ?? code}: ${(output.stderr || output.stdout).trim()}`))
    })
  })

/**
 * Runs a program under the shell's `time`, the one way that is everywhere: Node does not tell what a child has used.
 * Memory is looked up while it runs, where the system has /proc.
 */
export const timed = async (command) => {
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
  const env = { ...process.env, LC_ALL: "C" }
  const { stderr, stdout } = await run(["bash", "-c", script, marker, ...command], { env, onStart: watch })
  const [elapsed = 0, user = 0, system = 0] = stderr.slice(stderr.lastIndexOf(marker)).split(" ").slice(1).map(Number)
  return { stdout, seconds: elapsed, cpuSeconds: user + system, ...(maxRssBytes && { maxRssBytes }) }
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

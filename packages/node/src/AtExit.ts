/**
 * The last resort for what outlives a process: programs that it has started, and files and folders that it has made. Scopes see to
 * them; but `process.exit`, or an exception that is not caught, closes no scope. Then they are ended here, while the
 * process exits, when nothing can be waited for any more but by standing still.
 *
 * Nothing helps against a signal that no handler catches. This installs none: signals are for the application, as
 * `NodeRuntime.runMain` does it for SIGINT and SIGTERM.
 *
 * @since 0.1.0
 * @internal
 */
import * as fs from "node:fs"

/**
 * A program that runs.
 *
 * @since 0.1.0
 * @category models
 */
export interface Child {
  readonly pid: number
  /** Sends it a signal. */
  readonly kill: (signal: "SIGTERM" | "SIGKILL") => void
  /** Whether it has been sent SIGTERM. */
  readonly isTold: () => boolean
  /** Whether it may be sent SIGKILL, where it does not end by SIGTERM. */
  readonly mayBeKilled: boolean
}

/**
 * How long, in milliseconds, the exit of this process waits for programs that it has just sent SIGTERM.
 *
 * @since 0.1.0
 * @category constants
 */
export const patienceMillis = 500

const children = new Set<Child>()
const paths = new Set<string>()

/**
 * The program is ended if the process exits before what is returned is called: by SIGTERM, and by SIGKILL if it is still
 * there after 500 ms, or had been sent SIGTERM before.
 *
 * @since 0.1.0
 * @category constructors
 */
export const endChild = (child: Child): () => void => remember(children, child)

/**
 * The file, socket or folder is removed, with all that is in it, if the process exits before what is returned is called.
 *
 * @since 0.1.0
 * @category constructors
 */
export const remove = (path: string): () => void => remember(paths, path)

const remember = <A>(all: Set<A>, one: A): () => void => {
  if (children.size + paths.size === 0) process.on("exit", endAll)
  all.add(one)
  return () => {
    all.delete(one)
    if (children.size + paths.size === 0) process.off("exit", endAll)
  }
}

const endAll = (): void => {
  const asked: Array<Child> = []
  for (const child of children) {
    if (!child.isTold()) {
      child.kill("SIGTERM")
      if (child.mayBeKilled) asked.push(child)
    } else if (child.mayBeKilled) child.kill("SIGKILL")
  }
  for (const child of stillThere(asked)) child.kill("SIGKILL")
  for (const path of paths) {
    try {
      fs.rmSync(path, { recursive: true, force: true })
    } catch {
      // The process is about to end: there is no caller to tell, and the others have their turn.
    }
  }
}

/** Which of them have not ended in time. */
const stillThere = (asked: ReadonlyArray<Child>): ReadonlyArray<Child> => {
  const clock = new Int32Array(new SharedArrayBuffer(4))
  const from = performance.now()
  let alive = asked
  while (alive.length > 0 && performance.now() - from < patienceMillis) {
    Atomics.wait(clock, 0, 0, 10)
    alive = alive.filter(({ pid }) => !hasEnded(pid))
  }
  return alive
}

/** Node notices it in a later turn, which does not come. Where the system has no /proc, it cannot be known. */
const hasEnded = (pid: number): boolean => {
  try {
    return /\) [ZX]/.test(fs.readFileSync(`/proc/${pid}/stat`, "latin1"))
  } catch {
    return fs.existsSync("/proc/self/stat")
  }
}

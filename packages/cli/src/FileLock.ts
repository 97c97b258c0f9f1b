/**
 * A lock on an open file, as flock(2) has it: nobody else is given it while the file is open here, and it is gone with this
 * process, however that ends.
 *
 * Node.js has no `flock`. A program that is given the open file as its standard input takes the lock for it, and the lock
 * stays when the program has ended, since it belongs to the open file and not to a process.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"

/**
 * `Held`: somebody else has it. `Unknown`: there is no program that can take it, or no lock on this file system.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = "Locked" | "Held" | "Unknown"

/**
 * A program that ends with 0 where it has locked its standard input, and with `held` where somebody else has.
 *
 * @since 0.1.0
 * @category models
 */
export interface Locker {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly held: number
}

/** No program ends with it because it is broken. */
const held = 75

const perl = `use Fcntl ':flock'; flock(STDIN, LOCK_EX | LOCK_NB) or exit($!{EWOULDBLOCK} ? ${held} : 2)`

const python = `
import fcntl, sys
try:
    fcntl.flock(0, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(${held})
except OSError:
    sys.exit(2)
`

/**
 * The programs that are tried, in this order.
 *
 * @since 0.1.0
 * @category constants
 */
export const lockers: ReadonlyArray<Locker> = [
  { command: "flock", args: ["-x", "-n", "0"], held: 1 },
  { command: "perl", args: ["-e", perl], held },
  { command: "python3", args: ["-I", "-c", python], held }
]

/**
 * Locks an open file, or says that somebody else has; does not wait. The first program that can be started counts.
 *
 * @since 0.1.0
 * @category constructors
 */
export const take = (fd: number, programs: ReadonlyArray<Locker> = lockers): Effect.Effect<Outcome> =>
  Effect.orElseSucceed(
    Effect.firstSuccessOf(programs.map((program) => run(program, fd))),
    (): Outcome => "Unknown"
  )

const run = ({ args, command, held }: Locker, fd: number): Effect.Effect<Outcome, Error> =>
  Effect.async((resume) => {
    const child = spawn(command, args, { stdio: [fd, "ignore", "ignore"], windowsHide: true })
    child.once("error", (error) => resume(Effect.fail(error)))
    child.once("exit", (code) => resume(Effect.succeed(code === 0 ? "Locked" : code === held ? "Held" : "Unknown")))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

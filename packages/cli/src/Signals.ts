/**
 * The one place that ends the program: when it is done, and on every signal that asks a program to end.
 *
 * The first signal interrupts it, so that whatever it has open is closed in order: connections, programs that it has
 * started, files and folders of its own. A second signal, or ten seconds of closing, ends it at once; what it had started
 * is ended then too, by what @effect-nbd/node does when a process exits.
 *
 * Not among them: SIGKILL and SIGSTOP, which nobody can catch; SIGPIPE and SIGXFSZ, which Node.js ignores, so that the
 * write fails; SIGUSR1, which starts its debugger; SIGPROF, which its profiler uses; and what tells of a fault, such as
 * SIGSEGV and SIGABRT.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { constants } from "node:os"

const ends = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGALRM",
  "SIGUSR2",
  "SIGVTALRM",
  "SIGXCPU",
  "SIGIO",
  "SIGPWR",
  "SIGSTKFLT"
] as const satisfies ReadonlyArray<NodeJS.Signals>

/** Those that this system knows. */
const signals: ReadonlyArray<NodeJS.Signals> = ends.filter((signal) => signal in constants.signals)

/**
 * The exit code that shells give a program which a signal has ended: 128 and the number of the signal.
 *
 * @since 0.1.0
 * @category getters
 */
export const exitCodeOf = (signal: NodeJS.Signals): number => 128 + constants.signals[signal]

/** How long closing may take, in milliseconds: two programs, one after the other, have 2.7 s each until they are killed. */
const closingMillis = 10_000

/** `timeout` and npm send theirs twice, to the program and to its group, and mean it once. In milliseconds. */
const sameMillis = 200

/** Fibers alone do not keep a process alive. The longest time of a timer, in milliseconds. */
const longestTimer = 0x7fff_ffff

/**
 * Runs the program to its end, and exits. `codeOf` says with what, of how it ended and of the signal that came first. `closing` is
 * how long closing may take, in milliseconds; default: 10 s.
 *
 * @since 0.1.0
 * @category running
 */
export const runMain = <A, E>(
  program: Effect.Effect<A, E>,
  codeOf: (exit: Exit.Exit<A, E>, signal: NodeJS.Signals | undefined) => number,
  closing = closingMillis
): void => {
  const alive = setInterval(() => {}, longestTimer)
  let asked: { readonly signal: NodeJS.Signals; readonly at: number } | undefined
  const onSignal = (signal: NodeJS.Signals): void => {
    if (asked === undefined) {
      asked = { signal, at: performance.now() }
      setTimeout(() => process.exit(exitCodeOf(signal)), closing)
      fiber.unsafeInterruptAsFork(fiber.id())
    } else if (performance.now() - asked.at > sameMillis) process.exit(exitCodeOf(signal))
  }
  for (const signal of signals) process.on(signal, onSignal)
  const fiber = Effect.runFork(program)
  fiber.addObserver((exit) => {
    clearInterval(alive)
    const code = codeOf(exit, asked?.signal)
    if (asked !== undefined || code !== 0) process.exit(code)
    // What may be left is nothing that has to be closed in order.
    for (const signal of signals) process.off(signal, onSignal)
  })
}

/**
 * Random programs of concurrent operations, interruptions, faults and ends, run beside a model of the disk and of the
 * handle: for those who write a server or a transport, as for ourselves.
 *
 * Of every run it is true, or the run fails and says what was not:
 *
 * - every operation settles, once, with nothing but what it may end with;
 * - what is read is what an order of the operations allows, the content at the end included;
 * - no request is sent from a state that forbids it, none that was refused, none after the goodbye, and none twice;
 * - no more requests are in flight than the limit says, and in the end none;
 * - the connection lives unless something has ended it, and memory of a read that was interrupted is left alone.
 *
 * @since 0.1.0
 */
export { type Faults, faultsOf } from "./program/Faults.ts"
export { ProgramError, type Report, run } from "./program/Run.ts"
export { type RunOptions } from "./program/Running.ts"
export { arbitrary, type Fault, Program, type ProgramOptions, show, type Step } from "./program/Step.ts"

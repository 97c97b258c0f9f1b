/**
 * Who is measured, one row each. A client is either a module that a worker process loads, or a program with a command
 * line and a way to read its answer. Every answer has the same fields; those that a client cannot tell are left out.
 *
 * `isFor`: the workloads that it is for. Where it cannot do one of those, `cannot` gives the reason.
 */
import { effectNbd } from "../programs/effectNbd.mjs"
import { fio } from "../programs/fio.mjs"
import { imports } from "../programs/imports.mjs"
import { nbdcopy, nbdcopyPass, nbdinfo } from "../programs/libnbdTools.mjs"
import { qemuBench, qemuConvert } from "../programs/qemuImg.mjs"

/** `entries`: its functions, by what a workload does. */
const javaScript = (name, label, module, entries) => {
  const entry = ({ direction, kind }) => entries[kind === "requests" ? direction : kind]
  return {
    name,
    label,
    module,
    needs: [],
    entry,
    isFor: (workload) => entry(workload) !== undefined,
    cannot: () => undefined
  }
}

const vates = {
  ...javaScript("vates", "@vates/nbd-client", "vates.mjs", { read: "read", connect: "connect" }),
  isFor: ({ kind }) => kind === "requests" || kind === "connect",
  cannot: ({ direction, server }) =>
    direction === "write"
      ? "it only reads"
      : server.transport === "command"
      ? "not driven over stdin/stdout"
      : undefined
}

/** In the order in which they take turns. */
export const clients = [
  javaScript("read", "effect-nbd read", "ours.mjs", { read: "read" }),
  javaScript("read-into", "effect-nbd readInto", "ours.mjs", { read: "readInto" }),
  javaScript("read-borrowed", "effect-nbd readBorrowed", "ours.mjs", { read: "readBorrowed" }),
  javaScript("write", "effect-nbd write", "ours.mjs", { write: "write" }),
  javaScript("service", "effect-nbd as a service", "ours.mjs", { read: "readService", write: "writeService" }),
  javaScript("ours", "effect-nbd", "ours.mjs", { connect: "connect", extents: "extents" }),
  effectNbd,
  javaScript("floor", "bare Node (floor)", "floor.mjs", { read: "read", write: "write", connect: "connect" }),
  fio,
  nbdcopyPass,
  nbdcopy,
  nbdinfo,
  qemuBench,
  qemuConvert,
  vates,
  ...imports
]

/**
 * Runs of clients. They take turns, and every round begins with another one. Round 0 is short and not counted: it shows
 * that everything works, and what it did is looked at, before time is spent on it.
 */
import { resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { run, timed, TooSlowError } from "./process.mjs"
import { withStage } from "./stage.mjs"

const worker = fileURLToPath(new URL("worker.mjs", import.meta.url))

/** A program that takes longer is not waited for again. */
const patienceSeconds = 60

/** One run of one client: what it measured of itself, or its process. */
const measure = async (client, workload, target, profile) => {
  if (client.module === undefined) {
    const timing = await timed(client.command(workload, target), {
      env: client.env?.(target),
      timeoutSeconds: patienceSeconds
    })
    return client.read(workload, timing, target)
  }
  const job = {
    client: client.name,
    target,
    workload,
    ...(profile && { profile: profileOf(profile, client, workload) })
  }
  const { stdout } = await run([process.execPath, worker, JSON.stringify(job)])
  return JSON.parse(stdout)
}

/** Of the last round, since every round has the same name. */
const profileOf = (folder, client, workload) => resolve(folder, `${workload.name}-${client.name}.cpuprofile`)

const brief = (workload) =>
  workload.measured === undefined
    ? workload
    : { ...workload, isBrief: true, warmUp: { seconds: 0.05 }, measured: { seconds: 0.15 } }

const rotated = (list, by) => [...list.slice(by % list.length), ...list.slice(0, by % list.length)]

/** The counted runs of the clients, in their order, and those that took too long. */
export const measureAll = async (workload, clients, { places, profile, quick, report, rounds }) => {
  const runs = new Map(clients.map((client) => [client, []]))
  const tooSlow = []
  await withStage(workload, places, async ({ reset, target, verify }) => {
    for (let round = quick ? 1 : 0; round <= rounds; round++) {
      const short = quick || round === 0
      for (const client of rotated([...runs.keys()], round)) {
        report(`${workload.name}: round ${round} of ${rounds}, ${client.label}`)
        reset()
        try {
          const result = await measure(client, short ? brief(workload) : workload, target, profile)
          if (!(result.operations > 0 && result.seconds > 0)) throw new Error(`${client.label} did nothing`)
          if (short) verify()
          if (round > 0) runs.get(client).push(result)
        } catch (error) {
          if (!(error instanceof TooSlowError)) throw error
          runs.delete(client)
          tooSlow.push({
            name: client.name,
            label: client.label,
            reason: `more than ${error.seconds} s`,
            isTooSlow: true
          })
        }
      }
    }
  })
  return {
    clients: [...runs].map(([{ label, name }, runs]) => ({ name, label, runs })),
    absent: tooSlow
  }
}

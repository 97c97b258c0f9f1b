/**
 * From runs to medians and ratios.
 */

export const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

const rateOf = ({ operations, seconds }) => operations / seconds
const cpuOf = ({ cpuMicros }) => cpuMicros

/** The client of that name in the results of one workload. */
export const clientOf = ({ clients }, name) => clients.find((client) => client.name === name)

/** The middle of what the runs say of a field, if all of them say something. */
export const middle = ({ runs }, field) => {
  const values = runs.map((run) => run[field])
  return values.length === 0 || values.includes(undefined) ? undefined : median(values)
}

/** The middle of the ratios of the same round, since the machine has good minutes and bad ones. */
const ratio = (of, one, other) => {
  if (one === undefined || other === undefined) return undefined
  const ratios = one.runs.flatMap((run, round) =>
    other.runs[round] === undefined ? [] : [of(run) / of(other.runs[round])]
  )
  return ratios.length === 0 || ratios.some(Number.isNaN) ? undefined : median(ratios)
}

export const rateRatio = (result, name, to) => ratio(rateOf, clientOf(result, name), clientOf(result, to))
export const cpuRatio = (result, name, to) => ratio(cpuOf, clientOf(result, name), clientOf(result, to))

/** What a client's runs come to. Fields that it could not tell stay away. */
export const summarize = (result, client) => {
  const rates = client.runs.map(rateOf)
  const { floor, libnbd } = result.workload
  return {
    label: client.label,
    rate: { median: median(rates), least: Math.min(...rates), most: Math.max(...rates) },
    toLibnbd: libnbd && rateRatio(result, client.name, libnbd),
    toFloor: floor && rateRatio(result, client.name, floor),
    cpuMicros: middle(client, "cpuMicros"),
    p50Micros: middle(client, "p50Micros"),
    p99Micros: middle(client, "p99Micros"),
    maxRssBytes: middle(client, "maxRssBytes")
  }
}

/**
 * What has to be there for a workload: servers, files, nothing. Up for all rounds of it, and gone afterwards.
 */
import { withCopy } from "./copies.mjs"
import { run } from "./process.mjs"
import { withServer } from "./server.mjs"

/** Calls `use` with the target of the clients, `reset` to be called before each of them and `verify` after. */
export const withStage = (workload, places, use) => stages[workload.kind](workload, places, use)

const nothing = () => {}

const serving = (more) => (workload, places, use) =>
  withServer(
    workload.server,
    places,
    async (target) =>
      use({ target: { ...target, ...await more(workload, places, target) }, reset: nothing, verify: nothing })
  )

const stages = {
  requests: serving(async ({ content }, places) => content && { content: await places.disk(content) }),
  connect: serving(nothing),
  // The number of extents is the server's, and libnbd is asked for it, a line each.
  extents: serving(async (_workload, _places, { uri }) => {
    const { stdout } = await run(["nbdinfo", "--map", uri])
    return { extents: stdout.trimEnd().split("\n").length }
  }),
  copy: withCopy,
  import: (_workload, _places, use) => use({ target: {}, reset: nothing, verify: nothing })
}

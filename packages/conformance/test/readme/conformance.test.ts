import { Conformance } from "@effect-nbd/conformance"
import { FakeServer } from "@effect-nbd/testing"
import { describe, it } from "vitest"

const layer = FakeServer.layer({ exports: [{ name: "disk", size: 2_097_152 }] })

describe("my server", () => {
  Conformance.register(it, Conformance.serverChecks({ exportName: "disk" }), layer)
})

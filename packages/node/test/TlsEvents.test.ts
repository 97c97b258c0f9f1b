/**
 * TLS where Node.js cannot be told of a buffer: by 'data' events, with the same promises.
 */
import * as OnreadTls from "@effect-nbd/node/OnreadTls"
import { afterAll, beforeAll, expect, vi } from "vitest"
import { keepsThePromises } from "./ConnectionContract.ts"
import { asClient, asServer } from "./TlsPairs.ts"

// Other files run in this process too, and some may have come before: a mock of the module would not reach what they loaded.
const readInto = vi.spyOn(OnreadTls, "readInto")

beforeAll(() => void readInto.mockReturnValue(false))
afterAll(() => {
  expect(readInto).toHaveBeenCalled()
  readInto.mockRestore()
})

keepsThePromises("a client under TLS by events", asClient("unix"), { peerBuffers: true })
keepsThePromises("a server under TLS by events", asServer, { peerBuffers: true })

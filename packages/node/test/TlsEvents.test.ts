/**
 * TLS where Node.js cannot be told of a buffer: by 'data' events, with the same promises.
 */
import { vi } from "vitest"
import { keepsThePromises } from "./ConnectionContract.ts"
import { asClient, asServer } from "./TlsPairs.ts"

vi.mock("../src/OnreadTls.ts", () => ({ readInto: () => false }))

keepsThePromises("a client under TLS by events", asClient("unix"), { peerBuffers: true })
keepsThePromises("a server under TLS by events", asServer, { peerBuffers: true })

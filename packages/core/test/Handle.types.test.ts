/**
 * What the type checker knows of the handle states. `tsc` is what runs this; vitest only sees it through.
 */
import type { Handle, HandleError, HandleState } from "@effect-nbd/core"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import { describe, expectTypeOf, it } from "vitest"

type ErrorOf<T> = T extends Effect.Effect<infer _A, infer E, infer _R> ? E
  : T extends Stream.Stream<infer _A, infer E, infer _R> ? E
  : T extends (...args: never) => infer Result ? ErrorOf<Result>
  : never

type RefusalsOf<T> = Extract<ErrorOf<T>, HandleError.Refusal>

declare const handle: Handle.Handle

/** With a use that cannot fail. */
type Borrowing = typeof handle.readBorrowed<void, never, never>

type Same<A, B> = [A] extends [B] ? [B] extends [A] ? true : false : false

describe("the types of the handle", () => {
  it("give each operation exactly the refusals of its row of the table", () => {
    type Pinned = {
      [Op in HandleState.Operation]: Same<
        RefusalsOf<Op extends "readBorrowed" ? Borrowing : Handle.Handle[Op]>,
        HandleError.StateError<Op>
      >
    }
    expectTypeOf<Pinned>().toEqualTypeOf<{ [Op in HandleState.Operation]: true }>()
  })

  it("have every operation of the table, and no other", () => {
    expectTypeOf<keyof Handle.Handle>().toEqualTypeOf<HandleState.Operation>()
  })

  it("spell the refusals out, row by row", () => {
    expectTypeOf<RefusalsOf<Handle.Handle["read"]>["_tag"]>().toEqualTypeOf<
      | "NbdNotConnectedError"
      | "NbdStillConnectingError"
      | "NbdStillNegotiatingError"
      | "NbdShutDownError"
      | "NbdHandleDeadError"
    >()
    expectTypeOf<RefusalsOf<Handle.Handle["connect"]>["_tag"]>().toEqualTypeOf<
      | "NbdStillConnectingError"
      | "NbdStillNegotiatingError"
      | "NbdAlreadyConnectedError"
      | "NbdShutDownError"
      | "NbdHandleDeadError"
    >()
    expectTypeOf<ErrorOf<Handle.Handle["startConnect"]>["_tag"]>().toEqualTypeOf<
      | "NbdStillConnectingError"
      | "NbdStillNegotiatingError"
      | "NbdAlreadyConnectedError"
      | "NbdShutDownError"
      | "NbdHandleDeadError"
    >()
    expectTypeOf<RefusalsOf<Handle.Handle["go"]>["_tag"]>().toEqualTypeOf<
      | "NbdNotConnectedError"
      | "NbdStillConnectingError"
      | "NbdAlreadyConnectedError"
      | "NbdShutDownError"
      | "NbdHandleDeadError"
    >()
    expectTypeOf<RefusalsOf<Handle.Handle["exportInfo"]>["_tag"]>().toEqualTypeOf<
      "NbdNotConnectedError" | "NbdStillConnectingError" | "NbdHandleDeadError"
    >()
    expectTypeOf<RefusalsOf<Handle.Handle["inFlight"]>["_tag"]>().toEqualTypeOf<
      "NbdNotConnectedError" | "NbdStillConnectingError" | "NbdStillNegotiatingError"
    >()
    expectTypeOf<ErrorOf<Handle.Handle["shutdown"]>["_tag"]>().toEqualTypeOf<
      "NbdNotConnectedError" | "NbdStillConnectingError" | "NbdShutDownError" | "NbdHandleDeadError"
    >()
    expectTypeOf<RefusalsOf<Handle.Handle["configure"]>["_tag"]>().toEqualTypeOf<
      "NbdStillConnectingError" | "NbdAlreadyConnectedError" | "NbdShutDownError" | "NbdHandleDeadError"
    >()
    expectTypeOf<RefusalsOf<Handle.Handle["uri"]>["_tag"]>().toEqualTypeOf<"NbdNotConnectedError">()
    expectTypeOf<ErrorOf<Handle.Handle["settings"]>>().toEqualTypeOf<never>()
    expectTypeOf<ErrorOf<Handle.Handle["setStrictness"]>>().toEqualTypeOf<never>()
    expectTypeOf<ErrorOf<Handle.Handle["isReady"]>>().toEqualTypeOf<never>()
  })

  it("leave a connected view only what can still happen to it", () => {
    type Met = "NbdShutDownError" | "NbdHandleDeadError"
    expectTypeOf<RefusalsOf<Handle.Connected["read"]>["_tag"]>().toEqualTypeOf<Met>()
    expectTypeOf<RefusalsOf<Handle.Connected["write"]>["_tag"]>().toEqualTypeOf<Met>()
    expectTypeOf<RefusalsOf<Handle.Connected["flush"]>["_tag"]>().toEqualTypeOf<Met>()
    expectTypeOf<ErrorOf<Handle.Connected["shutdown"]>["_tag"]>().toEqualTypeOf<Met>()
  })

  it("leave a negotiating view only what can still happen to it", () => {
    type Met = "NbdAlreadyConnectedError" | "NbdShutDownError" | "NbdHandleDeadError"
    expectTypeOf<RefusalsOf<Handle.Negotiating["go"]>["_tag"]>().toEqualTypeOf<Met>()
    expectTypeOf<RefusalsOf<Handle.Negotiating["list"]>["_tag"]>().toEqualTypeOf<Met>()
    expectTypeOf<RefusalsOf<Handle.Negotiating["listMetaContexts"]>["_tag"]>().toEqualTypeOf<Met>()
    expectTypeOf<RefusalsOf<Handle.Negotiating["setMetaContexts"]>["_tag"]>().toEqualTypeOf<Met>()
    expectTypeOf<RefusalsOf<Handle.Negotiating["structuredReplies"]>["_tag"]>().toEqualTypeOf<Met>()
    expectTypeOf<RefusalsOf<Handle.Negotiating["extendedHeaders"]>["_tag"]>().toEqualTypeOf<Met>()
    expectTypeOf<RefusalsOf<Handle.Negotiating["option"]>["_tag"]>().toEqualTypeOf<Met>()
    expectTypeOf<RefusalsOf<Handle.Negotiating["configure"]>["_tag"]>().toEqualTypeOf<Met>()
    expectTypeOf<ErrorOf<Handle.Negotiating["agreed"]>["_tag"]>().toEqualTypeOf<"NbdHandleDeadError">()
    expectTypeOf<ErrorOf<Handle.Negotiating["uri"]>["_tag"]>().toEqualTypeOf<
      "NbdNoUriError" | "NbdUriUnwritableError"
    >()
    expectTypeOf<ErrorOf<Handle.Negotiating["abort"]>["_tag"]>().toEqualTypeOf<Met>()
  })

  it("do not have an operation of another state on a view", () => {
    type OfAnotherState<Tag extends HandleState.StateTag> = {
      [Op in HandleState.Operation]: Tag extends HandleState.PermittedTag<Op> ? never : Op
    }[HandleState.Operation]
    expectTypeOf<Extract<keyof Handle.Connected, OfAnotherState<"Connected">>>().toEqualTypeOf<never>()
    expectTypeOf<Extract<keyof Handle.Negotiating, OfAnotherState<"Negotiating">>>().toEqualTypeOf<never>()
    expectTypeOf<OfAnotherState<"Connected">>().toEqualTypeOf<
      | "configure"
      | "connect"
      | "startConnect"
      | "go"
      | "info"
      | "list"
      | "listMetaContexts"
      | "setMetaContexts"
      | "structuredReplies"
      | "extendedHeaders"
      | "option"
      | "startTls"
      | "abort"
    >()
    expectTypeOf<"read">().toExtend<OfAnotherState<"Negotiating">>()
  })
})

/**
 * A regular file as the device of an export.
 *
 * @since 0.1.0
 */
import type { BlockDevice } from "@effect-nbd/block/BlockDevice"
import { type ExtentsOptions, rangeOf } from "@effect-nbd/block/Extent"
import * as Geometry from "@effect-nbd/block/Geometry"
import * as FileDevice from "@effect-nbd/node/FileDevice"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/**
 * Opens the file until the scope is closed. Its size is that of the device, also if the file changes its own. `maximum` is
 * the longest read or write, in bytes.
 *
 * Everything is said to be data: each question about holes would start a program, for every client that asks.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  path: string,
  options: { readonly readOnly: boolean; readonly maximum?: number | undefined }
): Effect.Effect<BlockDevice<FileDevice.FileDeviceError>, FileDevice.FileOpenError, Scope.Scope> =>
  FileDevice.open(path, { readOnly: options.readOnly }).pipe(
    Effect.map((device) => ({
      ...device,
      geometry: {
        ...device.geometry,
        maximum: Math.max(options.maximum ?? 0, Geometry.defaults.maximum),
        canExtents: false
      },
      extents: (asked: ExtentsOptions = {}) => {
        const range = rangeOf(device.size, asked)
        return range.length === 0n ? Stream.empty : Stream.succeed({ ...range, allocated: true, zero: false })
      }
    })),
    Effect.mapError((error) =>
      error.why === "NoSize"
        ? new FileDevice.FileOpenError({
          path,
          why: "NoSize",
          reason: "has bytes but no size, and so cannot be an export"
        })
        : error
    )
  )

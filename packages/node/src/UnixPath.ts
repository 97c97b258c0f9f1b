/**
 * What may be the path of a Unix socket.
 *
 * @since 0.1.0
 * @internal
 */

/**
 * Longest path in bytes of a Unix socket: with its closing NUL it has to fit `sun_path`, of 108 bytes on Linux and of 104
 * on other systems. Node cuts longer ones, and would go somewhere else.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxBytes = process.platform === "linux" ? 107 : 103

/**
 * The system's code for a path that there can be no socket of. Node would take an empty one for a TCP port, and cut others
 * short.
 *
 * @since 0.1.0
 * @category guards
 */
export const refusal = (path: string): "ENOENT" | "EINVAL" | "ENAMETOOLONG" | undefined => {
  if (path === "") return "ENOENT"
  if (path.includes("\0")) return "EINVAL"
  return Buffer.byteLength(path) > maxBytes ? "ENAMETOOLONG" : undefined
}

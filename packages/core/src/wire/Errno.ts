/**
 * The error values a reply may carry.
 *
 * @since 0.1.0
 */

/**
 * Specification, "Error values". The numbers are the protocol's own, and may differ from those of the system.
 *
 * @since 0.1.0
 * @category constants
 */
export const errno = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108
} as const

/**
 * @since 0.1.0
 * @category models
 */
export type ErrnoName = keyof typeof errno

const nameByValue = new Map<number, ErrnoName>()
for (const [name, value] of Object.entries(errno)) {
  // `Object.entries` widens the keys of the table above to string.
  nameByValue.set(value, name as ErrnoName)
}

/**
 * The name of an error value; a value outside the table counts as `EINVAL` (C-161).
 *
 * @since 0.1.0
 * @category decoding
 */
export const errnoName = (value: number): ErrnoName => nameByValue.get(value) ?? "EINVAL"

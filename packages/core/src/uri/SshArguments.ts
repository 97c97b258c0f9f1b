/**
 * What of a URI may become part of an ssh command line. The machine at the other end gives the command that it is sent
 * to a shell in any case, so nothing is quoted: anything but a few harmless characters is refused
 * (CVE-2025-14946 in libnbd was a host name that ssh took for an option).
 *
 * @since 0.1.0
 */
import { isIPv6 } from "./Host.ts"

/**
 * Why the name or address of a host may not be given to ssh, or `undefined`. Letters, digits and `. - _`, not `-` first;
 * or an IPv6 address without a zone. At most 255 characters.
 *
 * @since 0.1.0
 * @category validation
 */
export const hostRefusal = (host: string): string | undefined =>
  host.length <= 255 && (/^[A-Za-z0-9_.][A-Za-z0-9_.-]*$/.test(host) || isIPv6(host))
    ? undefined
    : "for SSH a host consists of letters, digits and . - _ and does not begin with -"

/**
 * Why a user name may not be given to ssh, or `undefined`. Letters, digits and `. - _ +`, not `-` first; at most 255
 * characters.
 *
 * @since 0.1.0
 * @category validation
 */
export const userRefusal = (user: string): string | undefined =>
  user.length <= 255 && /^[A-Za-z0-9_.+][A-Za-z0-9_.+-]*$/.test(user)
    ? undefined
    : "for SSH a user name consists of letters, digits and . - _ + and does not begin with -"

/**
 * Why the path of a socket on the other machine may not be given to a shell there, or `undefined`. Letters, digits and
 * `/ . - _ + @ , :`, a letter, a digit or `/ . _` first; at most 107 characters.
 *
 * @since 0.1.0
 * @category validation
 */
export const socketRefusal = (path: string): string | undefined =>
  path.length <= 107 && /^[A-Za-z0-9/._][A-Za-z0-9/._+@,:-]*$/.test(path)
    ? undefined
    : "for SSH a path consists of letters, digits and / . - _ + @ , : and begins with a letter, a digit or / . _"

/**
 * The options of `effect-nbd serve`.
 *
 * @since 0.1.0
 */
import * as Options from "@effect/cli/Options"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as BlockSize from "../BlockSize.ts"
import * as ExportSpec from "../ExportSpec.ts"
import { invalid, recordOption, repeatable } from "./values.ts"

/**
 * Where to serve.
 *
 * @since 0.1.0
 * @category options
 */
export const where = {
  stdio: Options.boolean("stdio").pipe(
    Options.withDescription("Serve one client over standard input and output, as nbdkit -s does")
  ),
  port: Options.integer("port").pipe(
    Options.mapEffect((port) =>
      port >= 0 && port <= 65_535
        ? Effect.succeed(port)
        : Effect.fail(invalid(`--port ${port}: has to be from 0 to 65535`))
    ),
    Options.optional,
    Options.withDescription("Listen on this TCP port; 0 leaves the choice to the system")
  ),
  host: Options.text("host").pipe(
    Options.withDefault("127.0.0.1"),
    Options.withDescription("Address to listen on with --port; 127.0.0.1 by default")
  ),
  unix: Options.text("unix").pipe(
    Options.optional,
    Options.withDescription("Listen on a Unix socket at this path")
  ),
  maxClients: Options.integer("max-clients").pipe(
    Options.withDefault(256),
    Options.mapEffect((count) =>
      count >= 1 && count <= 65_535
        ? Effect.succeed(count)
        : Effect.fail(invalid(`--max-clients ${count}: has to be from 1 to 65535`))
    ),
    Options.withDescription(
      "Clients at a time, 256 by default. One beyond it takes the place of whoever has been in the handshake for the longest; where nobody is, it is closed on"
    )
  )
}

const blockSize = Options.text("block-size").pipe(
  Options.mapEffect((text) => {
    const found = BlockSize.parse(text)
    return typeof found === "string"
      ? Effect.fail(invalid(`--block-size ${text}: ${found}`))
      : Effect.succeed(found)
  }),
  Options.optional,
  Options.withDescription(
    "Minimum, preferred and maximum, such as 512,4K,32M, advertised and enforced; a minimum alone will do"
  )
)

/**
 * What to serve.
 *
 * @since 0.1.0
 * @category options
 */
export const what = {
  exports: repeatable("export").pipe(
    Options.mapEffect((texts) =>
      Effect.forEach(texts, (text) => {
        const found = ExportSpec.parse(text)
        return typeof found === "string" ? Effect.fail(invalid(`--export ${text}: ${found}`)) : Effect.succeed(found)
      })
    ),
    Options.withPseudoName("NAME,…"),
    Options.withDescription(
      "An export, may be given several times; the empty name by default. After its name, what holds for it alone: size=1G or file=PATH, read-only, writable, description=TEXT, block-size=512:4K:32M, bitmap=NAME, allocation-depth, tls-only, rotational, and no-flush, no-fua, no-trim, no-zero, no-fast-zero, no-cache, no-df, no-multi-conn. A comma inside is doubled"
    )
  ),
  size: Options.text("size").pipe(
    Options.withDefault("64M"),
    Options.mapEffect((text) => {
      const size = ExportSpec.parseSize(text)
      return typeof size === "string" ? Effect.fail(invalid(`--size ${text}: ${size}`)) : Effect.succeed(size)
    }),
    Options.withDescription("Bytes of each export, such as 1G; 64M by default. Memory is taken for what is written")
  ),
  readOnly: Options.boolean("read-only").pipe(Options.withDescription("Refuse writes")),
  description: Options.text("description").pipe(
    Options.withDefault(""),
    Options.withDescription("What clients are told of each export in words")
  ),
  blockSize,
  bitmaps: repeatable("bitmap").pipe(
    Options.withDescription(
      "Keep a dirty bitmap of this name, may be given several times: clients know it as qemu:dirty-bitmap:NAME"
    )
  ),
  allocationDepth: Options.boolean("allocation-depth").pipe(
    Options.withDescription("Offer the meta context qemu:allocation-depth")
  )
}

/**
 * How to speak, when to answer, and what to keep of it.
 *
 * @since 0.1.0
 * @category options
 */
export const how = {
  oldstyle: Options.boolean("oldstyle").pipe(
    Options.withDescription("Speak the oldstyle handshake, which has one export and no names")
  ),
  noStructuredReplies: Options.boolean("no-structured-replies").pipe(
    Options.withDescription("Refuse structured replies, and extended headers with them")
  ),
  noExtendedHeaders: Options.boolean("no-extended-headers").pipe(
    Options.withDescription("Refuse extended headers")
  ),
  noMetaContexts: Options.boolean("no-meta-contexts").pipe(
    Options.withDescription("Refuse meta contexts, and so block status")
  ),
  delay: Options.text("delay").pipe(
    Options.mapEffect((text) => {
      const [, count, unit] = /^([0-9]{1,9})(ms|s)$/.exec(text) ?? []
      if (count === undefined) return Effect.fail(invalid(`--delay ${text}: not a time, such as 20ms or 1s`))
      const milliseconds = Number(count) * (unit === "s" ? 1000 : 1)
      // A timer can wait at most 24 days; for a longer delay it would never end.
      return milliseconds > 86_400_000
        ? Effect.fail(invalid(`--delay ${text}: has to be at most a day, 86400s`))
        : Effect.succeed(Duration.millis(milliseconds))
    }),
    Options.optional,
    Options.withDescription("Answer each request after this time, such as 20ms or 1s")
  ),
  record: recordOption(
    "Write what goes over each connection to a file of its own once it is over, FILE, FILE.2 and so on, in hexadecimal with its meaning beside it. The first 4 MiB of each, of 16 at a time"
  )
}

/**
 * TLS.
 *
 * @since 0.1.0
 * @category options
 */
export const security = {
  tls: Options.choice("tls", ["off", "allow", "require"]).pipe(
    Options.optional,
    Options.withDescription("Whether clients may or must begin TLS; require by default where there are credentials")
  ),
  tlsCertificates: Options.text("tls-certificates").pipe(
    Options.optional,
    Options.withDescription(
      "Directory with server-cert.pem, server-key.pem and ca-cert.pem, as nbdkit and qemu have it"
    )
  ),
  tlsPsk: Options.text("tls-psk").pipe(
    Options.optional,
    Options.withDescription("File of pre-shared keys, a line user:key for each, as psktool writes them")
  ),
  tlsVerifyPeer: Options.boolean("tls-verify-peer").pipe(
    Options.withDescription("Let in only clients with a certificate of the authority in ca-cert.pem")
  )
}

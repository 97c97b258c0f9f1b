/**
 * A program in a process of its own, on the sources without their types: Node 20 does not read TypeScript.
 */
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import ts from "typescript"
import { folder } from "./Peers.ts"

const packages = path.join(import.meta.dirname, "..", "..")

/** A folder in which a script can import core, node and effect. */
export const installed = Effect.map(folder, (root) => {
  for (const name of ["core", "node"]) {
    const source = path.join(packages, name, "src")
    const target = path.join(root, "node_modules", "@effect-nbd", name)
    for (const file of fs.readdirSync(source, { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".ts")) continue
      const { outputText } = ts.transpileModule(fs.readFileSync(path.join(source, file), "utf8"), {
        compilerOptions: {
          module: ts.ModuleKind.ESNext,
          target: ts.ScriptTarget.ES2022,
          rewriteRelativeImportExtensions: true
        }
      })
      fs.mkdirSync(path.dirname(path.join(target, file)), { recursive: true })
      fs.writeFileSync(path.join(target, file.replace(/ts$/, "js")), outputText)
    }
    fs.writeFileSync(path.join(target, "package.json"), `{ "type": "module", "exports": { "./*": "./*.js" } }`)
  }
  const effect = path.dirname(createRequire(import.meta.url).resolve("effect/package.json"))
  fs.symlinkSync(effect, path.join(root, "node_modules", "effect"))
  fs.symlinkSync(path.join(effect, "..", "@effect", "platform"), path.join(root, "node_modules", "platform"))
  return root
})

/** Runs a script in that folder to its end; when it exits it also prints what keeps a process alive and is still there. */
export const run = (root: string, script: string) =>
  Effect.async<{ code: number | null; out: string }>((resume) => {
    const file = path.join(root, "script.mjs")
    fs.writeFileSync(
      file,
      `${script}
process.on("exit", () => console.log("left: " + process.getActiveResourcesInfo().filter((kind) => kind !== "PipeWrap")))`
    )
    const child = spawn(process.execPath, [file], { stdio: ["ignore", "pipe", "inherit"] })
    let out = ""
    child.stdout.on("data", (text) => out += text)
    child.once("close", (code) => resume(Effect.succeed({ code, out })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

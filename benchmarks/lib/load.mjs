/**
 * Imports the modules that it is told to, and prints how long that took.
 */
const began = performance.now()
for (const name of process.argv.slice(2)) await import(name)
console.log(JSON.stringify({ seconds: (performance.now() - began) / 1000 }))

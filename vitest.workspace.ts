/** One project per package, and one of the benchmark; vitest.config.ts takes its list of projects from here. */
export default ["packages/*", "benchmarks"]

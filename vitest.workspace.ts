/** One project per package; vitest.config.ts takes its list of projects from here. */
export default ["packages/*"]

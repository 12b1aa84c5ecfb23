// Berth is ESM; jest runs it as such (--experimental-vm-modules in the npm scripts), with swc only stripping types.
const base = {
  testEnvironment: "node",
  extensionsToTreatAsEsm: [".ts"],
  transform: {
    "^.+\\.ts$": [
      "@swc/jest",
      { jsc: { parser: { syntax: "typescript" }, target: "es2024" }, module: { type: "es6" } },
    ],
  },
};

// Real parts, once on each containerd that Berth supports: all on the newer, what lies in no subfolder on the older, too.
const integration = (containerd, files) => ({
  ...base,
  displayName: `containerd-${containerd}`,
  testMatch: [`<rootDir>/test/integration/${files}`],
  globals: { CONTAINERD: containerd },
  globalSetup: "<rootDir>/test/support/global-setup.ts",
  globalTeardown: "<rootDir>/test/support/global-teardown.ts",
});

export default {
  // As many as the cores of a small machine: what a test waits for may take longer than it can wait when all wait for the CPU.
  maxWorkers: 2,
  reporters: ["default", "<rootDir>/test/support/summary-reporter.js"],
  testSequencer: "<rootDir>/test/support/sequencer.js",
  testTimeout: 60_000,
  projects: [
    {
      ...base,
      displayName: "unit",
      testMatch: ["src", "hack", "test/bench", "test/chaos", "test/docs"].map((dir) => `<rootDir>/${dir}/**/*.test.ts`),
    },
    // Alone, for they look at the whole machine: see the scripts in package.json.
    { ...base, displayName: "host", testMatch: ["<rootDir>/test/host/**/*.test.ts"] },
    // Against any cluster, in the order of their names: see the script in package.json.
    {
      ...base,
      displayName: "e2e",
      testMatch: ["<rootDir>/test/e2e/**/*.test.ts"],
      globalSetup: "<rootDir>/test/e2e/setup.ts",
      globalTeardown: "<rootDir>/test/e2e/teardown.ts",
    },
    integration("2.1", "**/*.test.ts"),
    integration("1.7", "*.test.ts"),
  ],
};

// Berth is ESM; jest runs it as such (NODE_OPTIONS=--experimental-vm-modules in the npm scripts), with swc only stripping types.
const transform = {
  "^.+\\.ts$": ["@swc/jest", { jsc: { parser: { syntax: "typescript" }, target: "es2024" }, module: { type: "es6" } }],
};
const base = { testEnvironment: "node", extensionsToTreatAsEsm: [".ts"], transform };

export default {
  projects: [{ ...base, displayName: "unit", testMatch: ["<rootDir>/src/**/*.test.ts", "<rootDir>/test/unit/**/*.test.ts"] }],
};

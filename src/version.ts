import packageJson from "../package.json" with { type: "json" };

/** Berth's version, as semver. */
export const VERSION = packageJson.version;

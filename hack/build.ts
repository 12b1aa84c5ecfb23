/**
 * Compiles Berth to files that need nothing beside them but Node: `npm run build` to `dist/`, the tests to a folder of
 * theirs. In one piece because that is what an agent pays for on every node: modules loaded one by one, and of client-node
 * the whole API where only its kubeconfig is used, take three times the CPU to start and half as much memory again.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { build, type Plugin } from "esbuild";

const ROOT = resolve(import.meta.dirname, "..");
const DIST = join(ROOT, "dist");

/** CommonJS packages ask for Node's own modules by a `require` that an ES module does not have. */
const REQUIRE = `import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);`;

/** client-node does not say that its modules do nothing but export: without it, a thousand of its models would stay. */
const clientNodeIsPure: Plugin = {
  name: "client-node-is-pure",
  setup(building) {
    building.onResolve({ filter: /./ }, async ({ path, pluginData, ...where }) => {
      if (pluginData === "resolved" || where.kind !== "import-statement") return undefined;
      const found = await building.resolve(path, { ...where, pluginData: "resolved" });
      return found.path.includes("/@kubernetes/client-node/") ? { ...found, sideEffects: false } : found;
    });
  },
};

/** client-node's own HTTP client, a third of all the text. Berth sends its requests itself (src/kube/transport.ts). */
const withoutUndici: Plugin = {
  name: "without-undici",
  setup(building) {
    building.onResolve({ filter: /^undici$/ }, () => ({ path: "undici", namespace: "left-out" }));
    building.onLoad({ filter: /./, namespace: "left-out" }, () => ({
      contents: `class LeftOut { constructor() { throw new Error("undici is not compiled in: hack/build.ts"); } }
        export { LeftOut as Agent, LeftOut as ProxyAgent, LeftOut as fetch };`,
    }));
  },
};

/**
 * Compiles the program to a folder: `main.js`, and what only the agent loads in files of their own.
 * @throws Error when something can't be compiled
 */
export async function compile(folder: string): Promise<void> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ["src/main.ts"],
    outdir: folder,
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node24",
    banner: { js: REQUIRE },
    // Only for people who develop Berth, and asked for in a way that may fail.
    external: ["pino-pretty"],
    // The engine keeps the text, and with a single character beyond Latin-1 anywhere, two bytes for each of all.
    charset: "ascii",
    legalComments: "none",
    minifyWhitespace: true,
    plugins: [clientNodeIsPure, withoutUndici],
    metafile: true,
    logLevel: "warning",
  });
  writeFileSync(join(folder, "LICENSES.txt"), licenses(Object.keys(metafile.inputs)));
}

/** The licences of the packages that have gone into the files, as they want to be passed on. */
function licenses(inputs: readonly string[]): string {
  const packages = new Set(inputs.flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? []));
  return [...packages].toSorted().map(licenseOf).join("\n");
}

function licenseOf(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(ROOT, folder, "package.json"), "utf8")) as {
    name: string;
    version: string;
    license: string;
  };
  const file = readdirSync(join(ROOT, folder)).find((each) => /^licen[cs]e/i.test(each));
  const text = file === undefined ? "" : readFileSync(join(ROOT, folder, file), "utf8").trim();
  return `==== ${name} ${version}: ${license}\n\n${text}\n`;
}

if (import.meta.main) {
  if (existsSync(DIST)) rmSync(DIST, { recursive: true });
  // Not awaited: jest loads its setup, and what that imports, in a way that knows no await out here.
  void compile(DIST);
}

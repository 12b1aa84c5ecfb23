/** The platform of this machine in the words of the OCI image specification, which are Go's. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
}

/** An architecture of Node.js (`process.arch`) as a platform. */
export function platformOf(arch: string): Platform {
  const names: Record<string, string> = { x64: "amd64", ia32: "386", ppc64: "ppc64le" };
  return { os: "linux", architecture: names[arch] ?? arch };
}

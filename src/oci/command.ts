/** The command line: core/v1's rules for command and args, the image's Entrypoint and Cmd, and `$(VAR)`. */
import type { ContainerSpec } from "../api/index.ts";
import type { OciImageConfig } from "../containerd/index.ts";
import { SpecError } from "./errors.ts";

/**
 * What the container's first process is started with. As core/v1 has it: `command` replaces Entrypoint *and* Cmd, `args`
 * alone replaces Cmd; an empty list is as good as none. `$(VAR)` in the spec's own words is expanded, in the image's not.
 *
 * @param variables the environment from the spec's `env` and `envFrom`
 * @throws SpecError when nothing says what to run (Docker's words)
 */
export function commandLine(
  spec: Pick<ContainerSpec, "command" | "args">,
  image: Pick<OciImageConfig, "Entrypoint" | "Cmd">,
  variables: ReadonlyMap<string, string> = new Map(),
): string[] {
  const command = (spec.command ?? []).map((word) => expandEnv(word, variables));
  const args = (spec.args ?? []).map((word) => expandEnv(word, variables));
  const line =
    command.length > 0
      ? [...command, ...args]
      : [...(image.Entrypoint ?? []), ...(args.length > 0 ? args : (image.Cmd ?? []))];
  if (line[0] === undefined) {
    throw new SpecError("spec.command", "no command specified, and the image has no Entrypoint or Cmd either");
  }
  return line;
}

/**
 * Expands `$(VAR)` as core/v1 does: `$$` stands for one `$`, so `$$(VAR)` comes out as `$(VAR)`; a reference to an unknown
 * variable, and a `$` before anything else, stays as it is.
 */
export function expandEnv(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replace(/\$(?:\$|\(([^)]*)\))/g, (whole: string, name: string | undefined) =>
    name === undefined ? "$" : (variables.get(name) ?? whole),
  );
}

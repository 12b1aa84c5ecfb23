/** The process of an exec: as `docker exec` has it, the container's own but for what is asked for. */
import { mergeEnv, TERM } from "./env.ts";
import type { OciProcess } from "./types.ts";
import type { ResolvedUser } from "./user.ts";

/** What an exec asks for; what it does not is the container's. */
export interface ExecWish {
  readonly args: readonly string[];
  readonly tty?: boolean;
  /** `NAME=value`, over the container's; a name alone takes the variable away. */
  readonly env?: readonly string[] | undefined;
  readonly cwd?: string | undefined;
  readonly user?: ResolvedUser | undefined;
  /** Of the terminal, in characters. */
  readonly consoleSize?: { readonly width: number; readonly height: number } | undefined;
}

/**
 * The process of an exec, from that of the container's runtime spec. Capabilities, limits, AppArmor profile and
 * no-new-privileges are the container's; the runtime sees to namespaces, cgroup and seccomp filter.
 */
export function execProcess(container: OciProcess, wish: ExecWish): OciProcess {
  const { args, tty = false, env = [], cwd, user, consoleSize } = wish;
  const { consoleSize: _, ...process } = container;
  return {
    ...process,
    args: [...args],
    terminal: tty,
    env: mergeEnv([...(tty ? [TERM] : []), ...container.env, ...env]),
    ...(cwd === undefined ? {} : { cwd }),
    ...(user === undefined ? {} : { user: { uid: user.uid, gid: user.gid, additionalGids: [...user.additionalGids] } }),
    ...(consoleSize === undefined ? {} : { consoleSize }),
  };
}

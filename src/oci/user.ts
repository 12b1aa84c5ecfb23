/** Who a container's process runs as: Docker's `--user` and core/v1's runAs fields, looked up in the image's own files. */
import { SpecError } from "./errors.ts";

/** The limit Docker and containerd set to user and group ids. */
const MAX_ID = 0x7fffffff;

/** What is wished for, from the spec and the image. */
export interface UserWish {
  /** `spec.user`: `name`, `uid`, `name:group`, `uid:gid` and mixtures. */
  readonly user?: string | undefined;
  /** The image's USER, in the same forms. */
  readonly imageUser?: string | undefined;
  readonly runAsUser?: number | undefined;
  readonly runAsGroup?: number | undefined;
  readonly runAsNonRoot?: boolean | undefined;
  readonly supplementalGroups?: readonly number[] | undefined;
}

/** The contents of the image's /etc/passwd and /etc/group, absent where the image has none. */
export interface UserFiles {
  readonly passwd?: string | undefined;
  readonly group?: string | undefined;
}

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** All groups, the primary one first, as Docker writes them. */
  readonly additionalGids: readonly number[];
  /** The name in the passwd file. */
  readonly name?: string;
  readonly home?: string;
}

interface PasswdEntry {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

interface GroupEntry {
  name: string;
  gid: number;
  members: string[];
}

/** A user as asked for, and where a user would look to change it. */
interface Asked {
  readonly text: string;
  readonly field: string;
}

/**
 * Resolves a user as the Docker daemon does: a number is looked up for its group and supplementary groups but need not be
 * known, a name must be; an explicit group leaves the group file's memberships out. `runAsUser` and `runAsGroup` keep
 * them, as core/v1's `supplementalGroupsPolicy: Merge` does.
 *
 * @throws SpecError for an unknown name, an id out of range, or a root user where `runAsNonRoot` forbids it
 */
export function resolveUser(wish: UserWish, files: UserFiles): ResolvedUser {
  const asked = askedUser(wish);
  const found = lookUpUser(asked, files);
  const gid = wish.runAsGroup === undefined ? found.gid : validID(wish.runAsGroup, "spec.securityContext.runAsGroup");
  const supplemental = (wish.supplementalGroups ?? []).map((group, index) =>
    validID(group, `spec.securityContext.supplementalGroups[${index}]`),
  );
  if (wish.runAsNonRoot === true && found.uid === 0) throw rootForbidden(asked);
  return {
    uid: found.uid,
    gid,
    additionalGids: [...new Set([gid, ...found.groups, ...supplemental])],
    ...(found.entry === undefined ? {} : { name: found.entry.name, home: found.entry.home }),
  };
}

function askedUser(wish: UserWish): Asked {
  if (wish.runAsUser !== undefined) {
    const field = "spec.securityContext.runAsUser";
    return { text: String(validID(wish.runAsUser, field)), field };
  }
  if (wish.user !== undefined && wish.user !== "") return { text: wish.user, field: "spec.user" };
  return { text: wish.imageUser ?? "", field: "spec.image" };
}

function rootForbidden({ text, field }: Asked): SpecError {
  const source = field === "spec.image" ? `the image's user "${text || "0"}"` : `${field} "${text}"`;
  return new SpecError(
    "spec.securityContext.runAsNonRoot",
    `${source} is root (uid 0): set spec.securityContext.runAsUser to another uid`,
  );
}

function lookUpUser(
  asked: Asked,
  files: UserFiles,
): { uid: number; gid: number; groups: number[]; entry: PasswdEntry | undefined } {
  const [userText = "", groupText = ""] = asked.text.split(":");
  const uid = userText === "" ? 0 : parseID(userText, asked.field);
  const entry = parsePasswd(files.passwd ?? "").find((user) =>
    uid === undefined ? user.name === userText : user.uid === uid,
  );
  if (entry === undefined && uid === undefined) {
    throw new SpecError(asked.field, `unable to find user ${userText}: no matching entries in passwd file`);
  }
  const groups = parseGroup(files.group ?? "");
  return {
    uid: uid ?? entry?.uid ?? 0,
    gid: groupText === "" ? (entry?.gid ?? 0) : groupID(groupText, groups, asked.field),
    groups: groupText === "" && entry !== undefined ? membershipsOf(entry.name, groups) : [],
    entry,
  };
}

function groupID(text: string, groups: readonly GroupEntry[], field: string): number {
  const gid = parseID(text, field);
  if (gid !== undefined) return gid;
  const group = groups.find(({ name }) => name === text);
  if (group !== undefined) return group.gid;
  throw new SpecError(field, `unable to find group ${text}: no matching entries in group file`);
}

function membershipsOf(name: string, groups: readonly GroupEntry[]): number[] {
  return groups.filter(({ members }) => members.includes(name)).map(({ gid }) => gid);
}

/** The id that a text is the number of; undefined for a name. */
function parseID(text: string, field: string): number | undefined {
  return /^[+-]?\d+$/.test(text) ? validID(Number(text), field) : undefined;
}

function validID(id: number, field: string): number {
  if (Number.isInteger(id) && id >= 0 && id <= MAX_ID) return id;
  throw new SpecError(field, `uids and gids must be in range 0-${MAX_ID}, not ${id}`);
}

// Both files are read as leniently as glibc and Docker do: comments and blank lines are skipped, and a field that should
// be a number and is none counts as 0.
function records(text: string): string[][] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(":"));
}

function parsePasswd(text: string): PasswdEntry[] {
  return records(text).map(([name = "", , uid, gid, , home = ""]) => ({
    name,
    uid: number(uid),
    gid: number(gid),
    home,
  }));
}

function parseGroup(text: string): GroupEntry[] {
  return records(text).map(([name = "", , gid, members = ""]) => ({
    name,
    gid: number(gid),
    members: members.split(","),
  }));
}

function number(text: string | undefined): number {
  return text !== undefined && /^[+-]?\d+$/.test(text) ? Number(text) : 0;
}

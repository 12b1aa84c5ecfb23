/**
 * The Pod Security Standards as rules over a Container: what `baseline` and `restricted` forbid, in CEL, so that the agent
 * and an API server's ValidatingAdmissionPolicy read one source. Names, order, versions and words are those of Pod
 * Security admission (k8s.io/pod-security-admission, policy/), which says them of a Pod with one container; what a
 * Container has and a Pod has not follows in the same manner. CEL is used as Kubernetes 1.30 knows it, over `object` (with
 * its defaults) and `variables.minor`, the minor version of the standard that the namespace asks for.
 */

/** One rule of the standards. */
export interface Check {
  /** Pod Security's id of it, or the field of a Container that it is about. */
  readonly id: string;
  /** `restricted` includes what `baseline` forbids. */
  readonly level: "baseline" | "restricted";
  /** The minor version of the standard that has brought it; 0 unless given. */
  readonly since?: number;
  /** The minor version from which a stricter rule of `restricted` takes its place there. */
  readonly replaced?: number;
  /** What is forbidden, in short. */
  readonly reason: string;
  /** CEL: whether an object breaks the rule. */
  readonly broken: string;
  /** CEL, evaluated where the rule is broken: what is wrong in particular. */
  readonly detail: string;
}

const SECURITY = "object.spec.securityContext";

/** Whether a field of the spec is there: CEL wants to be asked at each step. */
function has(path: string): string {
  const steps = path.split(".");
  return steps.map((_, index) => `has(object.spec.${steps.slice(0, index + 1).join(".")})`).join(" && ");
}

/** A sentence about the container; `rest` is CEL, for what only the object tells. */
const container = (words: string, rest = ""): string =>
  `'container "' + object.metadata.name + '" ${words}'${rest === "" ? "" : ` + ${rest}`}`;

const words = (list: readonly string[]): string => `[${list.map((word) => `'${word}'`).join(", ")}]`;
const quoted = (list: string): string => `'"' + ${list}.join('", "') + '"'`;
const plural = (list: string, word: string): string => `(${list}.size() == 1 ? '${word} ' : '${word}s ')`;
/** The items of a list that has none where the spec lacks the field. */
const itemsOf = (field: string, filter: string): string => `(${has(field)} ? object.spec.${field}.${filter} : [])`;
const isSet = (field: string): string => `${has(field)} && object.spec.${field}`;

/** What may be added to a container's capabilities under `baseline`. */
const CAPABILITIES = words(
  "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT".split(
    " ",
  ),
);
const nonDefault = itemsOf("securityContext.capabilities.add", `filter(c, !(c in ${CAPABILITIES}))`);
const nonRestricted = itemsOf("securityContext.capabilities.add", "filter(c, c != 'NET_BIND_SERVICE')");
const dropsAll = `${has("securityContext.capabilities.drop")} && 'ALL' in ${SECURITY}.capabilities.drop`;
const forbiddenCapabilities = (list: string): string =>
  container("must not include ", `${quoted(list)} + ' in securityContext.capabilities.add'`);

/** The sysctls that are safe for the node, by the version that has added them. */
const SYSCTLS: Readonly<Record<number, readonly string[]>> = {
  0: [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
  ],
  27: ["net.ipv4.ip_local_reserved_ports"],
  29: [
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
  ],
  32: ["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"],
  37: ["net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat"],
};
const isSafe = Object.entries(SYSCTLS)
  .map(([since, names]) => `variables.minor >= ${since} && s.name in ${words(names)}`)
  .join(" || ");
const unsafeSysctls = itemsOf("securityContext.sysctls", `filter(s, !(${isSafe})).map(s, s.name)`);

const hostNamespaces = `[${has("network")} && object.spec.network.mode == 'Host' ? 'hostNetwork=true' : '', ${isSet("hostPID")} ? 'hostPID=true' : '', ${isSet("hostIPC")} ? 'hostIPC=true' : ''].filter(n, n != '')`;
const hostPaths = itemsOf("volumes", "filter(v, has(v.hostPath)).map(v, v.name)");
const hostPorts = itemsOf("ports", "filter(p, has(p.hostPort)).map(p, string(p.hostPort))");
const devicePaths = itemsOf("devices", "map(d, d.hostPath)");
const [httpHost, tcpHost] = [has("healthcheck.httpGet.host"), has("healthcheck.tcpSocket.host")];
const hasSeccomp = has("securityContext.seccompProfile");
const isUnconfined = (profile: string): string =>
  `${has(`securityContext.${profile}`)} && !(${SECURITY}.${profile}.type in ['RuntimeDefault', 'Localhost'])`;
const badSeccomp = container(
  "must not set securityContext.seccompProfile.type to ",
  quoted(`[${SECURITY}.seccompProfile.type]`),
);
const badProcMount = {
  reason: "procMount",
  broken: `${has("securityContext.procMount")} && ${SECURITY}.procMount != 'Default'`,
  detail: container("must not set securityContext.procMount to ", quoted(`[${SECURITY}.procMount]`)),
};
const runsAsRoot = `${has("securityContext.runAsUser")} && ${SECURITY}.runAsUser == 0`;

/** Pod Security's own of `baseline`, in its order. */
const BASELINE: readonly Check[] = [
  {
    id: "appArmorProfile",
    level: "baseline",
    reason: "forbidden AppArmor profile",
    broken: isUnconfined("appArmorProfile"),
    detail: container("must not set AppArmor profile type to ", quoted(`[${SECURITY}.appArmorProfile.type]`)),
  },
  {
    id: "capabilities_baseline",
    level: "baseline",
    replaced: 22,
    reason: "non-default capabilities",
    broken: `${nonDefault}.size() > 0`,
    detail: forbiddenCapabilities(nonDefault),
  },
  {
    id: "hostNamespaces",
    level: "baseline",
    reason: "host namespaces",
    broken: `${hostNamespaces}.size() > 0`,
    detail: `${hostNamespaces}.join(', ')`,
  },
  {
    id: "hostPathVolumes",
    level: "baseline",
    replaced: 0,
    reason: "hostPath volumes",
    broken: `${hostPaths}.size() > 0`,
    detail: `${plural(hostPaths, "volume")} + ${quoted(hostPaths)}`,
  },
  {
    id: "hostPorts",
    level: "baseline",
    reason: "hostPort",
    broken: `${hostPorts}.size() > 0`,
    detail: container("uses ", `${plural(hostPorts, "hostPort")} + ${hostPorts}.join(', ')`),
  },
  {
    id: "hostProbesAndHostLifecycle",
    level: "baseline",
    since: 34,
    reason: "probe or lifecycle host",
    broken: `${httpHost} || ${tcpHost}`,
    detail: container(
      "uses probe or lifecycle host ",
      quoted(`[${httpHost} ? object.spec.healthcheck.httpGet.host : object.spec.healthcheck.tcpSocket.host]`),
    ),
  },
  {
    id: "privileged",
    level: "baseline",
    reason: "privileged",
    broken: isSet("securityContext.privileged"),
    detail: container("must not set securityContext.privileged=true"),
  },
  { id: "procMount", level: "baseline", replaced: 35, ...badProcMount },
  {
    id: "seccompProfile_baseline",
    level: "baseline",
    replaced: 19,
    reason: "seccompProfile",
    broken: isUnconfined("seccompProfile"),
    detail: badSeccomp,
  },
  {
    id: "sysctls",
    level: "baseline",
    reason: "forbidden sysctls",
    broken: `${unsafeSysctls}.size() > 0`,
    detail: `${unsafeSysctls}.join(', ')`,
  },
];

/** What no Pod can wish for: what it gives of the node counts as `privileged`. */
const BEYOND_PODS: readonly Check[] = [
  {
    id: "cgroupParent",
    level: "baseline",
    reason: "cgroupParent",
    broken: has("cgroupParent"),
    detail: container("must not set cgroupParent"),
  },
  {
    id: "containerNetwork",
    level: "baseline",
    reason: "network of another Container",
    broken: `${has("network")} && object.spec.network.mode == 'Container'`,
    detail: container('must not set network.mode to "Container"'),
  },
  {
    id: "devices",
    level: "baseline",
    reason: "devices",
    broken: `${devicePaths}.size() > 0`,
    detail: container("uses ", `${plural(devicePaths, "device")} + ${quoted(devicePaths)}`),
  },
  {
    id: "oomScoreAdj",
    level: "baseline",
    reason: "oomScoreAdj < 0",
    broken: `${has("oomScoreAdj")} && object.spec.oomScoreAdj < 0`,
    detail: container("must not set oomScoreAdj=", "string(object.spec.oomScoreAdj)"),
  },
];

/** Pod Security's own of `restricted`, in its order. */
const RESTRICTED: readonly Check[] = [
  {
    id: "allowPrivilegeEscalation",
    level: "restricted",
    since: 8,
    reason: "allowPrivilegeEscalation != false",
    broken: `!(${has("securityContext.allowPrivilegeEscalation")}) || ${SECURITY}.allowPrivilegeEscalation`,
    detail: container("must set securityContext.allowPrivilegeEscalation=false"),
  },
  {
    id: "capabilities_restricted",
    level: "restricted",
    since: 22,
    reason: "unrestricted capabilities",
    broken: `!(${dropsAll}) || ${nonRestricted}.size() > 0`,
    detail: `[${dropsAll} ? '' : ${container('must set securityContext.capabilities.drop=["ALL"]')}, ${nonRestricted}.size() == 0 ? '' : ${forbiddenCapabilities(nonRestricted)}].filter(d, d != '').join('; ')`,
  },
  { id: "procMount_restricted", level: "restricted", since: 35, ...badProcMount },
  {
    id: "restrictedVolumes",
    level: "restricted",
    reason: "restricted volume types",
    broken: `${hostPaths}.size() > 0`,
    detail: `${plural(hostPaths, "volume")} + ${quoted(hostPaths)} + (${hostPaths}.size() == 1 ? ' uses' : ' use') + ' restricted volume type "hostPath"'`,
  },
  {
    // False is the default of a securityContext: whether it was given can't be told.
    id: "runAsNonRoot",
    level: "restricted",
    reason: "runAsNonRoot != true",
    broken: `!(${isSet("securityContext.runAsNonRoot")})`,
    detail: `'pod or ' + ${container("must set securityContext.runAsNonRoot=true")}`,
  },
  {
    // A name in `user` is the image's to tell: runAsNonRoot has it looked up at the start.
    id: "runAsUser",
    level: "restricted",
    since: 23,
    reason: "runAsUser=0",
    broken: `${runsAsRoot} || ${has("user")} && object.spec.user.matches('^(root|[+-]?0+)(:|$)')`,
    detail: `${runsAsRoot} ? ${container("must not set runAsUser=0")} : ${container("must not set user=", "object.spec.user")}`,
  },
  {
    id: "seccompProfile_restricted",
    level: "restricted",
    since: 19,
    reason: "seccompProfile",
    broken: `!(${hasSeccomp}) || ${isUnconfined("seccompProfile")}`,
    detail: `${hasSeccomp} ? ${badSeccomp} : 'pod or ' + ${container('must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"')}`,
  },
];

/** All rules, in the order in which they are told. */
export const CHECKS: readonly Check[] = [...BASELINE, ...BEYOND_PODS, ...RESTRICTED];

/** CEL over `object` and `variables.minor`: the list of all that a level forbids of an object, in words; empty when it is allowed. */
export function violations(level: Check["level"]): string {
  const checks = CHECKS.filter((check) => check.level === "baseline" || level === "restricted").filter(
    ({ replaced }) => level === "baseline" || replaced !== 0,
  );
  const told = checks.map(({ since = 0, replaced, reason, broken, detail }) => {
    const conditions = [
      ...(since === 0 ? [] : [`variables.minor >= ${since}`]),
      ...(level === "baseline" || replaced === undefined ? [] : [`variables.minor < ${replaced}`]),
      `(${broken})`,
    ];
    return `${conditions.join(" && ")} ? '${reason} (' + (${detail}) + ')' : ''`;
  });
  return `[\n  ${told.join(",\n  ")}\n].filter(v, v != '')`;
}

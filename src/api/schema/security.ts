/** `spec.securityContext`: the union of core/v1's Pod and container security contexts. */
import { RELATIVE_PATH, flag, list, object, optional, text, whole, word } from "./fields.ts";

// The largest id that Kubernetes' validation lets through (an int32).
const MAX_ID = 2147483647;
const id = (description: string) => whole(description, { min: 0, max: MAX_ID, format: "int64" });

const CAPABILITY = {
  pattern: "^(CAP_)?[A-Z][A-Z0-9_]*$",
  says: "must be a capability such as NET_ADMIN, or ALL",
};
const capabilityList = (description: string) =>
  list(description, text("A Linux capability, with or without CAP_, or ALL.", { min: 1, max: 64, form: CAPABILITY }), {
    max: 64,
  });

const profile = (description: string, type: string, localhostProfile: string, name: string) =>
  object(
    description,
    {
      type: word(type, ["RuntimeDefault", "Localhost", "Unconfined"]),
      localhostProfile: optional(text(localhostProfile, { min: 1, max: 4096, form: RELATIVE_PATH })),
    },
    {
      rules: [
        {
          rule: "(self.type == 'Localhost') == has(self.localhostProfile)",
          message: `${name}.localhostProfile is needed with type Localhost, and only allowed there`,
          at: "localhostProfile",
        },
      ],
    },
  );

/** `spec.securityContext`. */
export const securityContext = object(
  "User, privileges and confinement of the container; what is left out is as Docker has it.",
  {
    runAsUser: optional(
      id("Numeric user id of the process, such as 1000; defaults to the image's USER. Docker: --user."),
    ),
    runAsGroup: optional(
      id("Numeric group id of the process; defaults to the user's group in the image. Docker: --user."),
    ),
    supplementalGroups: optional(
      list("Numeric ids of further groups of the process. Docker: --group-add.", id("Numeric id of a further group."), {
        max: 100,
      }),
    ),
    runAsNonRoot: optional(
      flag("Whether a start is refused (InvalidSpec) when the process would be root, user id 0.", false),
    ),
    privileged: optional(
      flag(
        "Whether the container gets all capabilities and devices, without seccomp and AppArmor. Docker: --privileged.",
        false,
      ),
    ),
    capabilities: optional(
      object("Capabilities added to and dropped from Docker's default set.", {
        add: optional(capabilityList("Capabilities that are added: [NET_ADMIN]. Docker: --cap-add.")),
        drop: optional(
          capabilityList(
            "Capabilities that are dropped: [MKNOD]; [ALL] leaves those that add names. Docker: --cap-drop.",
          ),
        ),
      }),
    ),
    readOnlyRootFilesystem: optional(
      flag("Whether the root filesystem can't be written; volumes can. Docker: --read-only.", false),
    ),
    allowPrivilegeEscalation: optional(
      flag(
        "Whether the process may gain more privileges than its parent, by set-user-id files for instance; true unless set. False is Docker's --security-opt no-new-privileges.",
      ),
    ),
    seccompProfile: optional(
      profile(
        "Which system calls the container may use; RuntimeDefault unless set. Docker: --security-opt seccomp=….",
        "RuntimeDefault is Docker's default profile, Unconfined none, Localhost the file of the node that localhostProfile names.",
        "With Localhost: file of the profile, below the directory seccomp in the agent's --data-dir.",
        "seccompProfile",
      ),
    ),
    appArmorProfile: optional(
      profile(
        "The AppArmor profile of the container, on nodes that have AppArmor; RuntimeDefault unless set. Docker: --security-opt apparmor=….",
        "RuntimeDefault is Berth's profile berth-default, Unconfined none, Localhost the one that localhostProfile names.",
        "With Localhost: name of a profile that is loaded on the node.",
        "appArmorProfile",
      ),
    ),
    sysctls: optional(
      list(
        "Kernel parameters of the container's namespaces. Docker: --sysctl.",
        object("A kernel parameter, and the value it gets in the container.", {
          name: text("Name of the parameter, such as net.core.somaxconn.", {
            min: 1,
            form: {
              pattern: "^[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-zA-Z0-9]([-_a-zA-Z0-9]*[a-zA-Z0-9])?)*$",
              says: "must be a kernel parameter such as net.core.somaxconn",
            },
          }),
          value: text('Value of the parameter, such as "1024".', { max: 1024 }),
        }),
        { max: 100, keys: ["name"] },
      ),
    ),
    procMount: optional(
      word(
        "Whether sensitive paths of /proc and /sys are masked as Docker does (Default, unless set) or not (Unmasked).",
        ["Default", "Unmasked"],
      ),
    ),
  },
  {
    rules: [
      {
        rule: "!(has(self.privileged) && self.privileged && has(self.allowPrivilegeEscalation) && !self.allowPrivilegeEscalation)",
        message: "a privileged container can't have allowPrivilegeEscalation false; leave one of the two out",
        at: "allowPrivilegeEscalation",
      },
      {
        rule: "!(has(self.runAsNonRoot) && self.runAsNonRoot && has(self.runAsUser) && self.runAsUser == 0)",
        message: "runAsUser 0 is root, which runAsNonRoot forbids; take another user id",
        at: "runAsUser",
      },
    ],
  },
);

/** What runs and with which environment: image, command, env; the shapes are those of core/v1. */
import { ENV_NAME, flag, list, object, objectName, optional, text, word } from "./fields.ts";

const KEY = {
  pattern: "^[-._a-zA-Z0-9]+$",
  says: "must be a key of letters, digits, '-', '_' and '.'",
};

/** The fields of a Container that `fieldRef` can name. */
export const FIELD_PATHS = ["metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName"] as const;

const keyRef = (kind: string) =>
  object(
    `Takes the value of a key of a ${kind} in the Container's namespace.`,
    {
      name: objectName(`Name of the ${kind}, in the Container's namespace.`),
      key: text(`The key of the ${kind} whose value is taken, such as password.`, { min: 1, form: KEY }),
      optional: optional(
        flag(
          `Whether the variable is left out when the ${kind} or its key is missing; else the start waits for it.`,
          false,
        ),
      ),
    },
    { atomic: true },
  );

const fieldRef = object(
  "Takes the value of a field of this Container.",
  {
    apiVersion: optional(
      word(
        "Version of the field's schema, as a Pod has it; taken so that a Pod's container can be pasted in, and changes nothing.",
        ["v1"],
      ),
    ),
    fieldPath: word(
      "The field whose value is taken: metadata.name, metadata.namespace, metadata.uid or spec.nodeName.",
      FIELD_PATHS,
    ),
  },
  { atomic: true },
);

const valueFrom = object(
  "Where the variable's value comes from; exactly one source. It is read when the container is created or recreated, not at a restart.",
  {
    fieldRef: optional(fieldRef),
    configMapKeyRef: optional(keyRef("ConfigMap")),
    secretKeyRef: optional(keyRef("Secret")),
  },
  {
    rules: [
      {
        rule: "[has(self.fieldRef), has(self.configMapKeyRef), has(self.secretKeyRef)].exists_one(given, given)",
        message: "valueFrom needs exactly one of fieldRef, configMapKeyRef and secretKeyRef",
      },
    ],
  },
);

const variable = object(
  "An environment variable: a name with a value, or with the place it comes from.",
  {
    name: text("Name of the variable, such as LOG_LEVEL: printable ASCII characters other than '='.", {
      min: 1,
      max: 1024,
      form: ENV_NAME,
    }),
    value: optional(
      text(
        "The value, empty unless set. $(NAME) is replaced by a variable defined before it, $$(NAME) stands for the text $(NAME); a reference to nothing is left as it is.",
        { max: 131072 },
      ),
    ),
    valueFrom: optional(valueFrom),
  },
  {
    rules: [
      {
        rule: "!(has(self.value) && self.value != '' && has(self.valueFrom))",
        message: "an environment variable has either a value or a valueFrom, not both",
        at: "valueFrom",
      },
    ],
  },
);

/** `spec.env`, as core/v1. */
export const env = list(
  "Environment variables, added to the image's and to envFrom's; a name given here wins. Docker: --env.",
  variable,
  { max: 1000, keys: ["name"] },
);

const source = (kind: string) =>
  object(`All keys of a ${kind} of the Container's namespace become variables.`, {
    name: objectName(`Name of the ${kind}, in the Container's namespace.`),
    optional: optional(
      flag(`Whether the start goes on without the ${kind} when it is missing; else it waits for it.`, false),
    ),
  });

/** `spec.envFrom`, as core/v1. */
export const envFrom = list(
  "ConfigMaps and Secrets whose keys become environment variables; the last one wins, and env wins over all. Docker: --env-file.",
  object(
    "A ConfigMap or a Secret whose keys become environment variables.",
    {
      prefix: optional(
        text("Put before each key to make the variable's name: with DB_, the key host becomes DB_host.", {
          max: 253,
          form: ENV_NAME,
        }),
      ),
      configMapRef: optional(source("ConfigMap")),
      secretRef: optional(source("Secret")),
    },
    {
      rules: [
        {
          rule: "has(self.configMapRef) != has(self.secretRef)",
          message: "an item of envFrom needs exactly one of configMapRef and secretRef",
        },
      ],
    },
  ),
  { max: 100 },
);

const word8k =
  "One word of the command line; $(NAME) is replaced by an environment variable, $$(NAME) stands for the text $(NAME).";

/** `spec.command`, as core/v1. */
export const command = list(
  "The command, instead of the image's ENTRYPOINT and CMD, word by word: [httpd, -f]. It is not run in a shell; [sh, -c, SCRIPT] runs one. Docker: --entrypoint.",
  text(word8k, { max: 32768 }),
  { max: 1000 },
);

/** `spec.args`, as core/v1. */
export const args = list(
  "Arguments of the command, instead of the image's CMD, word by word: [-f, -v]. Docker: the words after the image's name.",
  text(word8k, { max: 32768 }),
  { max: 1000 },
);

/** `spec.imagePullSecrets`, as core/v1. */
export const imagePullSecrets = list(
  "Secrets of type kubernetes.io/dockerconfigjson or dockercfg in the Container's namespace. The entry whose host and path fit the image best is used. Docker: docker login.",
  object(
    "A reference to a Secret of the same namespace.",
    { name: objectName("Name of the Secret, in the Container's namespace.") },
    { atomic: true },
  ),
  { max: 20, keys: ["name"] },
);

// signal(7): the names of Linux, with or without SIG, real-time ones by their offset, or the number.
const SIGNALS =
  "HUP|INT|QUIT|ILL|TRAP|ABRT|IOT|BUS|FPE|KILL|USR1|SEGV|USR2|PIPE|ALRM|TERM|STKFLT|CHLD|CLD|CONT|STOP|TSTP|TTIN|TTOU|URG|XCPU|XFSZ|VTALRM|PROF|WINCH|IO|POLL|PWR|SYS";

/** `spec.stopSignal`. */
export const stopSignal = text(
  "Signal that asks the container to end, by name or number: SIGINT, INT, SIGRTMIN+3, 2. SIGKILL follows after terminationGracePeriodSeconds. Defaults to the image's STOPSIGNAL, else SIGTERM. Docker: --stop-signal.",
  {
    max: 16,
    form: {
      pattern: `^((SIG)?(${SIGNALS}|RTMIN(\\+([0-9]|[12][0-9]|30))?|RTMAX(-([0-9]|[12][0-9]|30))?)|[1-9]|[1-5][0-9]|6[0-4])$`,
      says: "must be a signal such as SIGTERM, INT, SIGRTMIN+3 or 15",
    },
  },
);

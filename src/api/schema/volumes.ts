/** Files from outside the image: `spec.volumes` and `spec.volumeMounts`; the shapes are those of core/v1. */
import {
  ABSOLUTE_PATH,
  FILE_PATH,
  MOUNT_PATH,
  RELATIVE_PATH,
  flag,
  labelName,
  list,
  object,
  objectName,
  optional,
  quantity,
  text,
  whole,
  word,
} from "./fields.ts";

/** What `hostPath.type` can ask of the path on the node, as core/v1. */
export const HOST_PATH_TYPES = [
  "",
  "DirectoryOrCreate",
  "Directory",
  "FileOrCreate",
  "File",
  "Socket",
  "CharDevice",
  "BlockDevice",
] as const;

const hostPath = object(
  "A file or directory of the node; it stays when the Container is deleted. Docker: --volume /path:/path.",
  {
    path: text("Absolute path on the node, such as /srv/www.", { min: 1, max: 4096, form: ABSOLUTE_PATH }),
    type: optional(
      word(
        'What the path must be; "" unless set. "" asks nothing and makes a missing directory, as Docker; the types ending in OrCreate make what is missing; with the others the start waits until it is there.',
        HOST_PATH_TYPES,
      ),
    ),
  },
);

const emptyDir = object(
  "A directory that is empty when the container is created and goes with it. Docker: --tmpfs for Memory.",
  {
    medium: optional(
      word("Memory is a tmpfs, which counts as the container's memory; the node's disk unless set.", ["", "Memory"]),
    ),
    sizeLimit: optional(
      quantity(
        "The most that it can hold, such as 64Mi: the size of the tmpfs. Only with medium Memory; on disk it is refused.",
      ),
    ),
  },
);

const mode = (description: string, value?: number) =>
  whole(description, { min: 0, max: 0o777, ...(value === undefined ? {} : { default: value }) });

const items = optional(
  list(
    "The keys that become files; all of them, under their own names, unless set.",
    object("A key and the file it becomes.", {
      key: text("The key that becomes a file, such as app.conf.", { min: 1 }),
      path: text("Path of the file in the volume, such as conf.d/app.conf.", { min: 1, max: 4096, form: FILE_PATH }),
      mode: optional(mode("Permissions of this file: 0o400 in YAML, 256 in JSON; defaults to defaultMode.")),
    }),
    { max: 100 },
  ),
);
const DEFAULT_MODE = "Permissions of the files: 0o644 in YAML, 420 in JSON.";

const configMap = object("The keys of a ConfigMap as files, kept up to date while the container runs.", {
  name: objectName("Name of the ConfigMap, in the Container's namespace."),
  items,
  defaultMode: optional(mode(DEFAULT_MODE, 0o644)),
  optional: optional(
    flag("Whether the start goes on when the ConfigMap or a key of items is missing; else it waits.", false),
  ),
});

const secret = object("The keys of a Secret as files, kept up to date while the container runs, and in memory alone.", {
  secretName: objectName("Name of a Secret in the Container's own namespace."),
  items,
  defaultMode: optional(mode(DEFAULT_MODE, 0o644)),
  optional: optional(
    flag("Whether the start goes on when the Secret or a key of items is missing; else it waits.", false),
  ),
});

const named = object(
  "A named volume of the node, shared by the Containers of the namespace there and kept when they are deleted. Docker: --volume NAME:/path.",
  {
    name: labelName(
      "Name of the volume, such as data; it is made when it is first used, and removed by berth volume rm on the node.",
    ),
  },
);

/** `spec.volumes`, as core/v1. */
export const volumes = list(
  "Files from outside the image, each under a name by which volumeMounts puts it into the container.",
  object(
    "A named source of files, of exactly one kind.",
    {
      name: labelName("Name by which volumeMounts refers to it, such as config."),
      hostPath: optional(hostPath),
      emptyDir: optional(emptyDir),
      configMap: optional(configMap),
      secret: optional(secret),
      volume: optional(named),
    },
    {
      rules: [
        {
          rule: "[has(self.hostPath), has(self.emptyDir), has(self.configMap), has(self.secret), has(self.volume)].exists_one(given, given)",
          message: "a volume needs exactly one of hostPath, emptyDir, configMap, secret and volume",
        },
      ],
    },
  ),
  { max: 100, keys: ["name"] },
);

/** `spec.volumeMounts`, as core/v1. */
export const volumeMounts = list(
  "Where volumes appear in the container, by the names they have in volumes. Docker: --volume.",
  object("A volume, and the place where it appears in the container.", {
    name: labelName("Name of the volume, as spec.volumes has it."),
    mountPath: text(
      "Absolute path in the container, such as /etc/app, without ':'; what is missing of it is created.",
      {
        min: 1,
        max: 4096,
        form: MOUNT_PATH,
      },
    ),
    readOnly: optional(flag("Whether the container can't write to the volume. Docker: --volume …:ro.", false)),
    subPath: optional(
      text(
        "File or directory in the volume that is mounted instead of the whole of it; a missing one is made as a directory.",
        {
          min: 1,
          max: 4096,
          form: RELATIVE_PATH,
        },
      ),
    ),
    mountPropagation: optional(
      word(
        "Whether mounts made later are seen across: None, HostToContainer (the node's in the container) or Bidirectional (both ways; needs privileged).",
        ["None", "HostToContainer", "Bidirectional"],
        "None",
      ),
    ),
  }),
  { max: 100, keys: ["mountPath"] },
);

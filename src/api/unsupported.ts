/** What the schema has and this version of the agent does not do yet. */
import { isFields, type Fields } from "./schema/node.ts";
import type { ContainerSpec, FieldError } from "./types.ts";

type Row = {
  /** The field below `spec`; `[]` stands for every item of a list. */
  path: string;
  /** Values that are supported all the same; absent, false and empty values always are. */
  except?: readonly string[];
  /** Whether the row holds for the object that has the field. */
  when?: (holder: Fields) => boolean;
};

/** One row for each thing to come; what is brought is taken out. */
const NOT_YET: readonly Row[] = [{ path: "volumes[].emptyDir.sizeLimit", when: ({ medium }) => medium !== "Memory" }];

/** Every field of the spec that asks for something this version does not do yet, so that nothing is silently ignored. */
export function unsupported(spec: ContainerSpec): FieldError[] {
  return NOT_YET.flatMap((row) =>
    find(row.path.split(/\.|(?=\[\])/), spec, { field: "spec" })
      .filter(({ value, holder }) => isAsked(value, row) && (row.when?.(holder) ?? true))
      .map(({ field, value }) => ({ field, message: `${named(row, value)} is not supported yet` })),
  );
}

const isAsked = (value: unknown, { except = [] }: Row): boolean =>
  value !== false && value !== "" && !(Array.isArray(value) && value.length === 0) && !except.includes(String(value));

/** What is missing, by its field's name, and by its value where others are supported. */
function named({ path, except, when }: Row, value: unknown): string {
  const name = path.replaceAll("[]", "");
  if (except) return `${name} ${String(value)}`;
  return when ? `${name} on disk` : name;
}

type Found = { field: string; value: unknown; holder: Fields };

/** The values at a path, however many items the lists on the way have. */
function find([step, ...rest]: readonly string[], value: unknown, at: { field: string; holder?: Fields }): Found[] {
  if (value === undefined || value === null) return [];
  if (step === undefined) return [{ field: at.field, value, holder: at.holder ?? {} }];
  if (step === "[]") {
    const items: readonly unknown[] = Array.isArray(value) ? value : [];
    return items.flatMap((item, index) => find(rest, item, { field: `${at.field}[${index}]` }));
  }
  return isFields(value) ? find(rest, value[step], { field: `${at.field}.${step}`, holder: value }) : [];
}

/**
 * Writes a copy of Berth's source in which each await tells the hook of its coming and of its end. Found by the compiler's
 * own parser: an await that is added to the product is walked without anybody having to think of it.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join } from "node:path";
import ts from "typescript";

interface Insertion {
  readonly at: number;
  readonly text: string;
}

/** Writes all of `source` that the agent may load, instrumented, to the same names below `target`. Answers how many awaits there are. */
export function instrument(source: string, target: string): number {
  let awaits = 0;
  for (const entry of readdirSync(source, { recursive: true, encoding: "utf8" })) {
    if (!entry.endsWith(".ts") || entry.endsWith(".test.ts") || entry.endsWith(".test-support.ts")) continue;
    const text = readFileSync(join(source, entry), "utf8");
    const insertions = insertionsFor(entry, text);
    awaits += insertions.length / 2;
    mkdirSync(dirname(join(target, entry)), { recursive: true });
    writeFileSync(join(target, entry), stripTypeScriptTypes(inserted(text, insertions)));
  }
  return awaits;
}

function insertionsFor(name: string, text: string): Insertion[] {
  const file = ts.createSourceFile(name, text, ts.ScriptTarget.ES2024, true);
  const found: Insertion[] = [];
  const wrap = (hook: string, node: ts.Node, awaited: ts.Expression): void => {
    const { line, character } = file.getLineAndCharacterOfPosition(node.getStart(file));
    const point = JSON.stringify(`${name}:${line + 1}:${character + 1}`);
    found.push({ at: awaited.getStart(file), text: `__crash.${hook}(${point}, ` }, { at: awaited.end, text: ")" });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isAwaitExpression(node)) wrap("awaiting", node, node.expression);
    else if (ts.isForOfStatement(node) && node.awaitModifier !== undefined) wrap("iterating", node, node.expression);
    else if (ts.isVariableDeclaration(node) && node.initializer !== undefined && isAwaitUsing(node.parent)) {
      wrap("using", node, node.initializer);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

function isAwaitUsing(list: ts.Node): boolean {
  const flags: number = ts.NodeFlags.AwaitUsing;
  return (list.flags & flags) === flags;
}

/** Of two insertions at one place, the one found later lies within the other: its beginning comes after, its end before. */
function inserted(text: string, insertions: readonly Insertion[]): string {
  const ends = insertions.filter(({ text: part }) => part === ")").reverse();
  const begins = insertions.filter(({ text: part }) => part !== ")");
  let result = "";
  let from = 0;
  for (const { at, text: part } of [...ends, ...begins].sort((a, b) => a.at - b.at)) {
    result += text.slice(from, at) + part;
    from = at;
  }
  return result + text.slice(from);
}

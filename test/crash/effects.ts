/**
 * Where an agent changes the world outside itself, watched at its borders: calls to containerd, requests to the API server,
 * the file system, other programs and signals. What only reads is known by name; all else counts as a change.
 */
import childProcess from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import { syncBuiltinESMExports } from "node:module";
import { basename } from "node:path";
import { Client } from "@grpc/grpc-js";

/** Told of each change. What begins with one name ends with it, however it ends. */
export interface EffectListener {
  readonly begin: (what: string) => void;
  /** `unchanged`: it has turned out that all is as it was. */
  readonly end: (what: string, unchanged?: boolean) => void;
}

type Function = (this: unknown, ...args: unknown[]) => unknown;
/** Before it is watched itself. */
const { lstatSync } = fs;

type Functions = Record<string, unknown>;

const READS_AT_CONTAINERD = /\/(Get|List|ListStream|Mounts|Wait|Stat|Subscribe|Version|Usage|State|Status|Read|Info)$/;
const READS_OF_FILES =
  /^(access|constants|exists|fstat|glob|lstat|opendir|read|readFile|readLines|readableWebStream|readdir|readlink|readv|realpath|stat|statfs|watch|close|getAsyncId|createReadStream|pull|constructor)$/;
/** What another run calls otherwise: ids and numbers, the walk's Containers, names that were made up. */
const VARYING =
  /[0-9a-f]{8}-[0-9a-f-]{27}(-\d+)?|\bwalk-\d+[^/]*|\bk-[0-9a-f]{8}\b|(?<=\/)[0-9a-f]{12}(?=\/)|(?<=-)\w{6}(?=\/|$)|\d+/g;

/** Has all changes told from now on. */
export function watchEffects(listener: EffectListener): void {
  watchContainerd(listener);
  watchRequests(listener);
  watchPrograms(listener);
  watchSignals(listener);
  watchFiles(listener);
  syncBuiltinESMExports();
}

function named(...parts: unknown[]): string {
  return parts.join(" ").replaceAll(VARYING, "*");
}

function watchContainerd({ begin, end }: EffectListener): void {
  const prototype = Client.prototype as unknown as { makeUnaryRequest: Function };
  const { makeUnaryRequest } = prototype;
  prototype.makeUnaryRequest = function (path, ...rest) {
    const done = rest.pop() as Function;
    if (READS_AT_CONTAINERD.test(String(path))) return makeUnaryRequest.call(this, path, ...rest, done);
    const what = named("grpc", String(path).split(".").at(-1));
    begin(what);
    return makeUnaryRequest.call(this, path, ...rest, (...answer: unknown[]) => {
      end(what);
      done(...answer);
    });
  };
}

function watchRequests({ begin, end }: EffectListener): void {
  const prototype = http.ClientRequest.prototype as unknown as { end: Function };
  const { end: send } = prototype;
  prototype.end = function (this: http.ClientRequest, ...args) {
    if (this.method === "GET") return send.apply(this, args);
    // An agent that has not written an Event yet makes another one, where it would have counted one up.
    const events = /^.*\/events(?=\/|$)/.exec(this.path)?.[0];
    const what =
      events === undefined ? named("http", this.method, this.path.replace(/\?.*/, "")) : named("http", events);
    begin(what);
    // The answer is told of to the product's own listeners after this one.
    let ended = false;
    const over = (): void => {
      if (!ended) end(what);
      ended = true;
    };
    this.prependOnceListener("response", over);
    this.once("close", over);
    return send.apply(this, args);
  } as Function;
}

function watchPrograms({ begin, end }: EffectListener): void {
  const functions = childProcess as unknown as { spawn: Function };
  const { spawn } = functions;
  functions.spawn = function (command, args, ...rest) {
    const what = named("run", basename(String(command)));
    begin(what);
    const child = spawn.call(this, command, args, ...rest) as childProcess.ChildProcess;
    const over = (): void => {
      end(what);
    };
    child.once("close", over);
    return child;
  };
}

function watchSignals({ begin, end }: EffectListener): void {
  const kill = process.kill.bind(process);
  process.kill = (pid, signal) => {
    // The hook's own, and one that only asks.
    if (pid === process.pid || signal === 0) return kill(pid, signal);
    const what = named("kill", signal);
    begin(what);
    try {
      return kill(pid, signal);
    } finally {
      end(what);
    }
  };
}

function watchFiles(listener: EffectListener): void {
  const promises = fs.promises as unknown as Functions;
  for (const name of Object.keys(promises)) if (isChange(name)) wrapAsync(promises, name, listener);
  const all = fs as unknown as Functions;
  for (const name of Object.keys(all)) {
    if (name.endsWith("Sync") && isChange(name.slice(0, -4))) wrapSync(all, name, listener);
  }
  void fs.promises.open("/dev/null").then((handle) => {
    const prototype = Object.getPrototypeOf(handle) as Functions;
    for (const name of Object.getOwnPropertyNames(prototype)) {
      const isMethod = typeof Object.getOwnPropertyDescriptor(prototype, name)?.value === "function";
      if (isMethod && isChange(name)) wrapAsync(prototype, name, listener);
    }
    return handle.close();
  });
}

function isChange(name: string): boolean {
  return /^[a-z]/.test(name) && !READS_OF_FILES.test(name);
}

/**
 * An open file changes nothing unless it is made, or emptied; what is not there can't be removed; standard output and error
 * are the agent's own log.
 */
function changesNothing(name: string, [first, flags]: unknown[]): boolean {
  if (typeof first === "number" && first <= 2) return true;
  if (/^(rm|rmdir|unlink)$/.test(name)) return lstatSync(String(first), { throwIfNoEntry: false }) === undefined;
  if (!name.startsWith("open")) return false;
  if (typeof flags === "number") return (flags & (fs.constants.O_CREAT | fs.constants.O_TRUNC)) === 0;
  return typeof flags !== "string" || /^r(?!\+)/.test(flags);
}

function wrapAsync(functions: Functions, name: string, { begin, end }: EffectListener): void {
  const original = functions[name];
  if (typeof original !== "function") return;
  functions[name] = async function (this: unknown, ...args: unknown[]): Promise<unknown> {
    if (changesNothing(name, args)) return (original as Function).apply(this, args);
    const what = fileEffect(name, args);
    let unchanged = true;
    begin(what);
    try {
      const answer = await (original as Function).apply(this, args);
      // mkdir tells whether it has made something.
      unchanged = name === "mkdir" && answer === undefined && isRecursive(args);
      return answer;
    } finally {
      end(what, unchanged);
    }
  };
}

function wrapSync(functions: Functions, name: string, { begin, end }: EffectListener): void {
  const original = functions[name];
  if (typeof original !== "function") return;
  functions[name] = function (this: unknown, ...args: unknown[]): unknown {
    if (changesNothing(name.slice(0, -4), args)) return (original as Function).apply(this, args);
    const what = fileEffect(name, args);
    begin(what);
    try {
      return (original as Function).apply(this, args);
    } finally {
      end(what);
    }
  };
}

function isRecursive([, options]: unknown[]): boolean {
  return typeof options === "object" && options !== null && "recursive" in options && options.recursive === true;
}

function fileEffect(name: string, [path]: unknown[]): string {
  return named("fs", name, typeof path === "string" && path.startsWith("/") && name !== "mkdtemp" ? path : "");
}

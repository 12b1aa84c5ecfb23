/**
 * What the hook in an agent tells, and is told: the moments at which the agent can be killed, and the commands by which a
 * test has it record them or die at one. A line of JSON each, on a socket.
 */

/** A moment in the agent's life: an await is come to or over, or something outside the process begins to change or has changed. */
export interface Moment {
  readonly kind: "await" | "resume" | "begin" | "end";
  /** `lifecycle/start.ts:71:3`, or what begins and ends: `grpc Tasks/Create`. */
  readonly what: string;
  /** Milliseconds since the recording began. */
  readonly atMs: number;
  /** Of an end: it has turned out that nothing was changed. */
  readonly unchanged?: true;
}

/** Where to die: at the n-th such moment after the command, or some time after it. */
export interface Death {
  readonly kind: Moment["kind"];
  readonly what: string;
  /** From 1 on. */
  readonly hit: number;
  readonly afterMs: number;
}

/** What a test says to the hook. */
export type Command =
  /** Go on from where the program is loaded, but not begun. */
  | { readonly command: "go" }
  /** Begin a new recording. */
  | { readonly command: "record" }
  /** Begin to count, and die. */
  | { readonly command: "die"; readonly at: Death }
  /** Answer when nothing has happened for so long and nothing is under way outside. */
  | { readonly command: "rest"; readonly forMs: number }
  /** Answer what was recorded. */
  | { readonly command: "tell" };

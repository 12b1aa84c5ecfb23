// The system's error codes on the errors that node:fs throws.

/** `ENOENT` and its like, or undefined for an error that does not come from the system. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** Waits for a promise; undefined when the file it is about does not exist, or is one of a process that has just ended. */
export async function orMissing<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes(errorCode(error) ?? "")) return undefined;
    throw error;
  }
}

/** Gives back what a start has acquired, in reverse, when it fails. */

/**
 * A stack of undos, for `await using`: they run when the scope is left, unless the start has succeeded. One that fails
 * neither stops the others nor hides why the start failed: it is told to `onFailure`.
 */
export class Undo implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #onFailure: (error: unknown) => void;

  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  /** Puts an undo on the stack. Call it before what it undoes, where that can fail half-way. */
  defer(action: () => Promise<void>): void {
    this.#stack.defer(() => action().catch(this.#onFailure));
  }

  /** The start has succeeded: nothing is undone any more. */
  disarm(): void {
    this.#stack.move();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** Gives back what a start has acquired, in reverse, when it fails. */

/** How a stack of undos takes one that fails. */
export interface UndoOptions {
  /** Told of each undo that failed; none of them hides why the start did. */
  readonly onFailure: (error: unknown) => void;
  /**
   * Whether what was acquired before it is kept, too: a record must not go while its task, which only it leads to, is
   * there. Whoever says so clears all of it later.
   */
  readonly stopAtFailure: boolean;
}

/** A stack of undos, for `await using`: they run when the scope is left, unless the start has succeeded. */
export class Undo implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #options: UndoOptions;
  #failed = false;

  constructor(options: UndoOptions) {
    this.#options = options;
  }

  /** Puts an undo on the stack. Call it before what it undoes: a call that failed may have been carried out all the same. */
  defer(action: () => Promise<void>): void {
    this.#stack.defer(async () => {
      if (this.#failed && this.#options.stopAtFailure) return;
      try {
        await action();
      } catch (error) {
        this.#failed = true;
        this.#options.onFailure(error);
      }
    });
  }

  /** The start has succeeded: nothing is undone any more. */
  disarm(): void {
    this.#stack.move();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

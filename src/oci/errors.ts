/**
 * The spec, together with the image, asks for something that can't be: the user's error, which no retry heals. It ends a
 * start as `InvalidSpec`.
 */
export class SpecError extends Error {
  override readonly name: string = "SpecError";
  /** The field as a user writes it, `spec.securityContext.capabilities.add[0]`. */
  readonly field: string;
  /** What is wrong with its value and what would be right. */
  readonly detail: string;

  constructor(field: string, detail: string, options?: ErrorOptions) {
    super(`${field}: ${detail}`, options);
    this.field = field;
    this.detail = detail;
  }
}

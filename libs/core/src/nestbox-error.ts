/**
 * The base of every error that Nestbox throws. `code` is stable and meant for programs; `message` says what
 * to do and is meant for people.
 */
export abstract class NestboxError extends Error {
  abstract readonly code: string;

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
  }
}

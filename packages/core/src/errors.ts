/**
 * Errors as data: every failure that leaves a package is a `MeshError` with a stable `code`.
 *
 * The code is API: it labels metrics, fills the access log and heads a section of the reference, so it never
 * changes meaning. The message is for people and may improve.
 *
 * Invariant: a refused connection is not an error. Policy returns a verdict; only I/O and bad input throw.
 */

/** Whose fault it is: who must change something for this not to happen again. */
export type Side = 'downstream' | 'upstream' | 'internal';

export abstract class MeshError extends Error {
  abstract readonly code: string;
  abstract readonly side: Side;

  /** True only if no byte of the caller's data can have reached the peer. */
  readonly retryable: boolean = false;

  override get name(): string {
    return this.constructor.name;
  }
}

/** A bound that this project declares was reached: a queue, a cache, a message, a count. */
export class LimitError extends MeshError {
  readonly code = 'LIMIT';
  readonly side = 'internal';

  constructor(what: string, limit: number, unit: string, options?: ErrorOptions) {
    super(`${what}: limit of ${limit} ${unit} reached`, options);
  }
}

/** What somebody threw, as words; never `[object Object]`, and the causes with it. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const message = error.message || error.name;
  const cause = error.cause === undefined ? '' : messageOf(error.cause);
  return cause && !message.includes(cause) ? `${message}: ${cause}` : message;
}

/** The `code` of a Node or Mesh error (`ECONNREFUSED`, `LIMIT`), or `undefined`. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

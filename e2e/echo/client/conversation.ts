/** A connection that a client holds: it can be asked again and again until it closes. */
import type { AnswerHead, Description } from '../messages.ts';

export interface Answer {
  /** Unknown where a server returns bytes alone. */
  readonly server: Description | undefined;
  /** Where the order wants it. */
  readonly head?: AnswerHead;
}

/** How long the steps took that come before the first question. */
export interface Opening {
  /** Until the name had an address. */
  readonly nameMs: number;
  /** Until TCP was connected, without that: inside the mesh, to the proxy of the own pod. */
  readonly connectMs: number;
}

export interface Conversation {
  readonly opening?: Opening;
  /** Whether the other side has closed it, or it broke. */
  readonly isClosed: boolean;
  /** One request and its answer; rejects if there is none. Never two at a time. */
  ask(signal: AbortSignal): Promise<Answer>;
  close(): void;
}

/**
 * A connection that had been idle closed under a request, before a byte of the answer: the two crossed on the way. Any
 * server that closes idle connections does that to somebody, and whoever asked may ask again (RFC 9112 §9.3.1).
 */
export class ClosedWhileIdleError extends Error {}

/** An answer came, and it is not what was asked for. */
export class UnexpectedAnswerError extends Error {}

/** Conditions of statuses, before they are written. */
import { MAX_CONDITION_MESSAGE_CHARS } from '../limits.ts';

/** What a condition in an object's status shall say. */
export interface WantedCondition {
  readonly type: string;
  readonly isTrue: boolean;
  /** One word, for programs. */
  readonly reason: string;
  /** For people. */
  readonly message: string;
  /** Of the object that this was found out about; absent: the condition does not tell. */
  readonly observedGeneration?: number;
}

/**
 * A message as it is stored: a longer one would be refused, and with it the whole status; half a character, where it was
 * cut or as somebody wrote it, would be another when it is read again, and so be written for ever.
 */
export function storable(message: string): string {
  const stored =
    message.length <= MAX_CONDITION_MESSAGE_CHARS
      ? message
      : `${message.slice(0, MAX_CONDITION_MESSAGE_CHARS - 1)}…`;
  return stored.toWellFormed();
}

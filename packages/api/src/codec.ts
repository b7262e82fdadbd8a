/**
 * The one way between bytes and generated messages: bounded, strict, and with an error that says which message.
 *
 * Strict means: text is UTF-8, nothing is nested deeper than 100 levels, every message fills exactly its length.
 * Unknown fields are skipped and unknown numbers of an enumeration are kept, so that a newer peer is understood.
 */

/** Bytes that are not the message they should be. `code` is stable. */
export class ProtobufError extends Error {
  readonly code = 'PROTOBUF';
  readonly messageType: string;

  constructor(messageType: string, problem: string, options?: ErrorOptions) {
    super(`malformed ${messageType}: ${problem}`, options);
    this.name = 'ProtobufError';
    this.messageType = messageType;
  }
}

/** What the generator makes for each message. */
interface Generated<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

/** @throws {@link ProtobufError} if `bytes` are not a `messageType`, or more than `maxBytes` of them. */
export function decodeBounded<T>(
  generated: Generated<T>,
  messageType: string,
  maxBytes: number,
  bytes: Uint8Array,
): T {
  if (bytes.length > maxBytes) {
    throw new ProtobufError(messageType, `${bytes.length} bytes where at most ${maxBytes} are read`);
  }
  try {
    return generated.decode(bytes);
  } catch (error) {
    throw new ProtobufError(messageType, error instanceof Error ? error.message : String(error), {
      cause: error,
    });
  }
}

export function encodeWhole<T>(generated: Generated<T>, message: T): Uint8Array {
  return generated.encode(message).finish();
}

/** Some fields of a message, at any depth: messages without them have every one empty. */
export type MessageFields<T> = T extends
  | Uint8Array
  | Date
  | Map<unknown, unknown>
  | string
  | number
  | bigint
  | boolean
  ? T
  : T extends readonly (infer Item)[]
    ? readonly MessageFields<Item>[]
    : T extends { readonly $case: infer Case; readonly value: infer Value }
      ? { readonly $case: Case; readonly value: MessageFields<Value> }
      : { readonly [Name in keyof T]?: MessageFields<T[Name]> };

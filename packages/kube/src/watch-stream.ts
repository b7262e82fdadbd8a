/** The body of a watch: JSON lines of bounded length, handed on in the batches they arrive in. */
import type { IncomingMessage } from 'node:http';
import { LimitError, messageOf } from '@ambit/core/errors';
import { KubeProtocolError, KubeTransportError, refusal } from './errors.ts';
import { MAX_WATCH_LINE_BYTES } from './limits.ts';
import { isKubeObject, type KubeObject } from './resource.ts';

/** `object` of a BOOKMARK holds nothing but a resource version. */
export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: T;
}

/** Cuts a byte stream into lines; keeps at most one unfinished line. */
export class LineSplitter {
  #rest: Buffer[] = [];
  #restBytes = 0;
  readonly #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @throws LimitError when a line grows beyond the bound. */
  push(chunk: Buffer): readonly string[] {
    const lines: string[] = [];
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
      this.#keep(chunk.subarray(from, end));
      lines.push(Buffer.concat(this.#rest).toString('utf8'));
      this.#rest = [];
      this.#restBytes = 0;
      from = end + 1;
    }
    this.#keep(chunk.subarray(from));
    return lines;
  }

  #keep(part: Buffer): void {
    if (part.length === 0) return;
    this.#restBytes += part.length;
    if (this.#restBytes > this.#maxBytes) throw new LimitError('line of a watch', this.#maxBytes, 'bytes');
    this.#rest.push(part);
  }
}

export async function* readWatch<T extends KubeObject>(
  what: string,
  answer: IncomingMessage,
  signal: AbortSignal,
): AsyncGenerator<readonly WatchEvent<T>[]> {
  const lines = new LineSplitter(MAX_WATCH_LINE_BYTES);
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const texts = lines.push(chunk).filter((line) => line.trim() !== '');
      const events: WatchEvent<T>[] = [];
      for (const text of texts) {
        const event = parseEvent<T>(what, text);
        if ('failure' in event) {
          if (events.length > 0) yield events;
          throw event.failure;
        }
        events.push(event);
      }
      if (events.length > 0) yield events;
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Error && 'side' in error) throw error;
    throw new KubeTransportError(what, `broke off: ${messageOf(error)}`, { cause: error });
  } finally {
    answer.destroy();
  }
}

function parseEvent<T extends KubeObject>(
  what: string,
  line: string,
): WatchEvent<T> | { readonly failure: Error } {
  let event: { type?: unknown; object?: unknown } | null;
  try {
    event = JSON.parse(line) as typeof event;
  } catch (error) {
    return { failure: new KubeProtocolError(`${what}: a line is not JSON`, { cause: error }) };
  }
  switch (event?.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      if (isKubeObject(event.object)) return { type: event.type, object: event.object as T };
      return { failure: new KubeProtocolError(`${what}: a ${event.type} event without an object`) };
    case 'BOOKMARK':
      return { type: 'BOOKMARK', object: event.object as T };
    case 'ERROR':
      return { failure: refusal(what, 0, JSON.stringify(event.object ?? {})) };
    default:
      return { failure: new KubeProtocolError(`${what}: an event of unknown type ${String(event?.type)}`) };
  }
}

/**
 * The agent's end of one connection: one message under way at a time, each answered before the next.
 *
 * An answer that does not come in time ends the connection. Kept open, its late answer would be taken for the answer to
 * the next message, and from then on every pod would be told another pod's result.
 */
import type { Clock } from '@ambit/core/clock';
import { LimitError, messageOf } from '@ambit/core/errors';
import { closeFd } from '@ambit/linux/descriptors';
import type { SeqpacketConnection } from '@ambit/linux/seqpacket';
import { ZdsConnectionError, ZdsProtocolError } from './errors.ts';
import { ANSWER_TIMEOUT_MS, MAX_QUEUED_UPDATES } from './limits.ts';
import { decodeAck, decodeHello, encodeRequest, type ZdsRequest } from './messages.ts';

interface Waiter {
  resolve(bytes: Uint8Array): void;
  reject(error: Error): void;
}

export class AgentConnection {
  readonly #connection: SeqpacketConnection;
  readonly #clock: Clock;
  /** Resolves with the reason once the connection is over. */
  readonly closed: Promise<string>;
  #waiter: Waiter | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #queued = 0;

  constructor(connection: SeqpacketConnection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
    const hello = this.#answer().then(decodeHello);
    this.#tail = hello.catch((error: unknown) => this.#fail(messageOf(error)));
    this.closed = this.#read();
  }

  /**
   * Runs `conversation` when all earlier ones are through; the hello has arrived by then.
   *
   * @throws {@link LimitError} when too many wait; {@link ZdsConnectionError} when the connection ended.
   */
  async queue<T>(conversation: () => Promise<T>): Promise<T> {
    if (this.#queued >= MAX_QUEUED_UPDATES)
      throw new LimitError('updates waiting for ztunnel', MAX_QUEUED_UPDATES, 'updates');
    this.#queued += 1;
    const result = this.#tail.then(async () => {
      this.#queued -= 1;
      if (this.#connection.closed) throw new ZdsConnectionError('the connection to ztunnel has ended');
      return await conversation();
    });
    this.#tail = result.catch(() => undefined);
    return await result;
  }

  /**
   * One message and its answer, inside {@link queue}.
   *
   * @returns why ztunnel refused; empty if it did not.
   * @throws {@link ZdsConnectionError} The connection is closed then.
   */
  async ask(request: ZdsRequest, fd?: number): Promise<string> {
    try {
      const answer = this.#answer();
      answer.catch(() => undefined);
      this.#connection.send(encodeRequest(request), fd);
      return decodeAck(await answer);
    } catch (error) {
      this.#fail(messageOf(error));
      if (error instanceof ZdsConnectionError) throw error;
      throw new ZdsConnectionError(`telling ztunnel (${request.kind}) failed`, { cause: error });
    }
  }

  close(): void {
    this.#fail('closed by the agent');
  }

  async #answer(): Promise<Uint8Array> {
    const patience = new AbortController();
    const answer = new Promise<Uint8Array>((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
    const timeout = this.#clock.sleep(ANSWER_TIMEOUT_MS, patience.signal).then(
      () => Promise.reject(new ZdsConnectionError(`no answer from ztunnel within ${ANSWER_TIMEOUT_MS} ms`)),
      () => answer,
    );
    try {
      return await Promise.race([answer, timeout]);
    } finally {
      patience.abort();
    }
  }

  /** Reads all the time, so that the end is noticed when nothing is asked. */
  async #read(): Promise<string> {
    let reason = 'closed by ztunnel';
    try {
      for (;;) {
        const message = await this.#connection.receive();
        if (!message) break;
        if (message.fd !== undefined) {
          closeFd(message.fd);
          throw new ZdsProtocolError('ztunnel sent a descriptor');
        }
        const waiter = this.#waiter;
        this.#waiter = undefined;
        if (!waiter) throw new ZdsProtocolError('ztunnel spoke without being asked');
        waiter.resolve(message.bytes);
      }
    } catch (error) {
      reason = messageOf(error);
    }
    return this.#fail(reason);
  }

  /** The first reason counts. */
  #failure: string | undefined;

  #fail(reason: string): string {
    this.#failure ??= reason;
    this.#connection.close();
    this.#waiter?.reject(new ZdsConnectionError(`the connection to ztunnel ended: ${this.#failure}`));
    this.#waiter = undefined;
    return this.#failure;
  }
}

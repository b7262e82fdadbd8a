/**
 * The agent's end of one connection: messages in the order in which they were asked for, some of them under way at the same
 * time, so that pods that start together have their listeners opened together. Answers are matched by order alone; Istio's
 * ztunnel reads a message when it has answered the one before.
 *
 * An answer that does not come in time ends the connection. Kept open, its late answer would be taken for the answer to
 * the next message, and from then on every pod would be told another pod's result.
 */
import type { Clock, Timer } from '@ambit/core/clock';
import { LimitError, messageOf } from '@ambit/core/errors';
import { closeFd, duplicateFd } from '@ambit/linux/descriptors';
import type { SeqpacketConnection } from '@ambit/linux/seqpacket';
import { ZdsConnectionError, ZdsProtocolError } from './errors.ts';
import { ANSWER_TIMEOUT_MS, MAX_QUEUED_UPDATES, MAX_UNDER_WAY } from './limits.ts';
import { decodeAck, decodeHello, encodeRequest, type ZdsRequest } from './messages.ts';

/** Something that ztunnel is to say: its hello, or the answer to a message. */
interface Awaited {
  hear(bytes: Uint8Array): void;
  reject(error: Error): void;
}

interface Message extends Awaited {
  readonly request: ZdsRequest;
  /** Ours, until it is sent. */
  readonly fd: number | undefined;
}

export class AgentConnection {
  readonly #connection: SeqpacketConnection;
  readonly #clock: Clock;
  /** Resolves with the reason once the connection is over. */
  readonly closed: Promise<string>;
  /** In the order of their answers. */
  readonly #awaited: Awaited[] = [];
  /** Not sent yet. */
  readonly #waiting: Message[] = [];
  /** For the first of those awaited. */
  #patience: Timer | undefined;
  /** The first reason counts. */
  #failure: string | undefined;
  #isGreeted = false;
  /** Asked for one by one and not answered. */
  #updates = 0;

  constructor(connection: SeqpacketConnection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
    this.#await({
      hear: (bytes) => {
        decodeHello(bytes);
        this.#isGreeted = true;
      },
      reject: () => undefined,
    });
    this.closed = this.#read();
  }

  /**
   * One message and its answer, after all that were asked for before.
   *
   * @param fd - Duplicated before this returns.
   * @returns why ztunnel refused; empty if it did not.
   * @throws {@link LimitError} when too many wait; {@link ZdsConnectionError} when the connection ended.
   */
  async ask(request: ZdsRequest, fd?: number): Promise<string> {
    if (this.#updates >= MAX_QUEUED_UPDATES)
      throw new LimitError('updates waiting for ztunnel', MAX_QUEUED_UPDATES, 'updates');
    this.#updates += 1;
    try {
      return await this.#ask(request, fd);
    } finally {
      this.#updates -= 1;
    }
  }

  /**
   * Many, which nothing that is asked for later overtakes. However many they are, since the caller has them in memory.
   *
   * @returns the answer to each.
   */
  askAll(
    messages: readonly { readonly request: ZdsRequest; readonly fd: number | undefined }[],
  ): readonly Promise<string>[] {
    return messages.map(({ request, fd }) => this.#ask(request, fd));
  }

  close(): void {
    this.#fail('closed by the agent');
  }

  #ask(request: ZdsRequest, fd: number | undefined): Promise<string> {
    if (this.#failure !== undefined)
      return Promise.reject(new ZdsConnectionError('the connection to ztunnel has ended'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        request,
        fd: fd === undefined ? undefined : duplicateFd(fd),
        hear: (bytes) => resolve(decodeAck(bytes)),
        reject,
      });
      this.#send();
    });
  }

  /** As many as may be under way. */
  #send(): void {
    while (this.#isGreeted && this.#awaited.length < MAX_UNDER_WAY) {
      const message = this.#waiting.shift();
      if (!message) return;
      const { request, fd } = message;
      this.#await(message);
      try {
        this.#connection.send(encodeRequest(request), fd);
      } catch (error) {
        this.#fail(`telling it (${request.kind}) failed: ${messageOf(error)}`);
      } finally {
        if (fd !== undefined) closeFd(fd);
      }
    }
  }

  #await(awaited: Awaited): void {
    this.#awaited.push(awaited);
    if (this.#awaited.length === 1) this.#bePatient();
  }

  /** Its time begins when all before it have been answered: ztunnel may take one after the other. */
  #bePatient(): void {
    this.#patience?.cancel();
    this.#patience =
      this.#awaited.length === 0
        ? undefined
        : this.#clock.after(ANSWER_TIMEOUT_MS, () =>
            this.#fail(`no answer from ztunnel within ${ANSWER_TIMEOUT_MS} ms`),
          );
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
        this.#hear(message.bytes);
      }
    } catch (error) {
      reason = messageOf(error);
    }
    return this.#fail(reason);
  }

  #hear(bytes: Uint8Array): void {
    const [first] = this.#awaited;
    if (!first) throw new ZdsProtocolError('ztunnel spoke without being asked');
    // Still among them if this throws, so that whoever asked is told.
    first.hear(bytes);
    this.#awaited.shift();
    this.#bePatient();
    this.#send();
  }

  #fail(reason: string): string {
    if (this.#failure !== undefined) return this.#failure;
    this.#failure = reason;
    this.#patience?.cancel();
    this.#connection.close();
    for (const { fd } of this.#waiting) if (fd !== undefined) closeFd(fd);
    const error = new ZdsConnectionError(`the connection to ztunnel ended: ${reason}`);
    for (const { reject } of [...this.#awaited.splice(0), ...this.#waiting.splice(0)]) reject(error);
    return reason;
  }
}

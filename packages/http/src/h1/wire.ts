/**
 * The writing side of an HTTP/1.1 connection: what is queued goes out at the end of a message, of a read, or of the turn.
 */
import { GATHER_BELOW_BYTES, SEND_QUEUE_BYTES } from '../limits.ts';
import { SendQueue } from '../transport/send-queue.ts';
import type { Transport } from '../transport/transport.ts';

export class Wire {
  readonly transport: Transport;
  readonly queue: SendQueue;
  /** What arrived is being read: what it leads to is written together. */
  #corked = false;
  #scheduled = false;

  constructor(transport: Transport) {
    this.transport = transport;
    this.queue = new SendQueue(transport);
  }

  /** Writers should wait. */
  get isCongested(): boolean {
    return this.queue.queuedBytes >= SEND_QUEUE_BYTES;
  }

  cork(): void {
    this.#corked = true;
  }

  uncork(): void {
    this.#corked = false;
    this.queue.flush();
  }

  /** More of the same message may follow at once. */
  flushSoon(): void {
    if (this.queue.queuedBytes >= GATHER_BELOW_BYTES) {
      this.queue.flush();
      return;
    }
    if (this.#corked || this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.queue.flush();
    });
  }

  /** A message is whole. */
  flush(): void {
    if (!this.#corked) this.queue.flush();
  }

  /**
   * Ends the connection if what was queued is out; whether it is. If not, the owner asks again from `onIdle`: a transport
   * that is ended, and then cut because the peer says nothing, loses what it has yet to send.
   */
  end(): boolean {
    this.queue.flush();
    if (this.queue.queuedBytes > 0 || !this.transport.idle) return false;
    this.transport.end();
    return true;
  }
}

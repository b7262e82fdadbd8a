/**
 * Frames waiting to be written to a transport.
 *
 * While a connection is busy, the small frames of one turn of the event loop are gathered into one write, however many
 * streams they belong to; else the first goes out at once, which is sooner, or with what follows it in the same event. A
 * large one goes out by itself, uncopied, when nothing is ahead of it and the transport does not hold on to it.
 */
import { GATHER_BELOW_BYTES, OUTBOX_HARD_BYTES, OUTBOX_SOFT_BYTES } from '../limits.ts';
import { SendQueue } from '../transport/send-queue.ts';
import type { Transport } from '../transport/transport.ts';

const dirty: Outbox[] = [];

export class Outbox {
  readonly #transport: Transport;
  readonly #queue: SendQueue;
  /** Puts since the last flush that had to be gathered. */
  #gathered = 0;
  /** The last turn brought several frames, so this one may too. */
  #busy = false;
  #scheduled = false;
  /** The first of what is queued goes out at the end of this event, with what follows it. */
  #following = false;

  constructor(transport: Transport) {
    this.#transport = transport;
    this.#queue = new SendQueue(transport);
  }

  /** Streams should keep their data back. */
  get congested(): boolean {
    return this.#queue.queuedBytes >= OUTBOX_SOFT_BYTES;
  }

  /** The peer has us answer more than it reads. */
  get overflowing(): boolean {
    return this.#queue.queuedBytes >= OUTBOX_HARD_BYTES;
  }

  get empty(): boolean {
    return this.#queue.queuedBytes === 0;
  }

  /** Takes `bytes` (a whole number of frames); they are the caller's again on return. */
  put(bytes: Buffer, moreFollows = false): void {
    const isFirst = this.#queue.queuedBytes === 0 && this.#transport.idle;
    const isUrgent = isFirst && (!this.#busy || bytes.length >= GATHER_BELOW_BYTES);
    if (isUrgent && !moreFollows && !this.#transport.lends) {
      this.#transport.write(bytes);
      return;
    }
    this.#queue.append(bytes);
    if (isUrgent) {
      if (moreFollows) this.#awaitFollowing();
      else this.#queue.flush();
      return;
    }
    this.#gathered++;
    if (this.#scheduled || (this.#following && this.#gathered === 1)) return;
    this.#scheduled = true;
    if (dirty.push(this) === 1) setImmediate(flushAll);
  }

  #awaitFollowing(): void {
    this.#following = true;
    queueMicrotask(() => {
      this.#following = false;
      if (!this.#scheduled) this.#gathered = 0;
      this.#queue.flush();
    });
  }

  /** The loop's turn is over: nothing more comes that could be gathered. */
  endTurn(): void {
    this.#scheduled = false;
    this.#busy = this.#gathered > 1;
    this.#gathered = 0;
    this.flush();
  }

  /** Writes what is gathered, as long as the transport takes it. */
  flush(): void {
    this.#queue.flush();
  }

  clear(): void {
    this.#queue.clear();
  }
}

/** What one outbox writes may land in another's, that of the tunnel below: it goes out in the same turn. */
function flushAll(): void {
  for (let i = 0; i < dirty.length; i++) dirty[i]?.endTurn();
  dirty.length = 0;
}

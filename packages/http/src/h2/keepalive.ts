/** PINGs that tell a silent connection from a dead one, and the one that confirms a GOAWAY. */
import type { Clock, Timer } from '@ambit/core/clock';
import { frame } from './frame-writer.ts';
import { FLAG, FRAME } from './protocol.ts';

const KEEPALIVE = Buffer.from('ambit/ka', 'latin1');
const PROBE = Buffer.from('ambit/go', 'latin1');

export interface KeepaliveOptions {
  readonly clock: Clock;
  readonly keepaliveIntervalMs: number;
  readonly keepaliveTimeoutMs: number;
}

export class Keepalive {
  readonly #options: KeepaliveOptions;
  readonly #send: (ping: Buffer) => void;
  readonly #onSilence: () => void;
  #timer: Timer | undefined;
  #onProbed: (() => void) | undefined;
  /** When the PING was sent that is not answered yet, on the monotonic clock. */
  #waitingSinceMs: number | undefined;

  constructor(options: KeepaliveOptions, send: (ping: Buffer) => void, onSilence: () => void) {
    this.#options = options;
    this.#send = send;
    this.#onSilence = onSilence;
    this.#schedule();
  }

  /** Sends a PING and calls back when the peer has answered it: it has then seen all we sent before. */
  probe(onProbed: () => void): void {
    this.#onProbed = onProbed;
    this.#send(frame(FRAME.ping, 0, 0, PROBE));
  }

  onPong(payload: Buffer): void {
    if (payload.equals(PROBE)) {
      const probed = this.#onProbed;
      this.#onProbed = undefined;
      probed?.();
    } else if (this.#waitingSinceMs !== undefined && payload.equals(KEEPALIVE)) {
      this.#waitingSinceMs = undefined;
      this.#schedule();
    }
  }

  /** For how long a PING has not been answered; 0 if none is under way. */
  get unansweredMs(): number {
    return this.#waitingSinceMs === undefined ? 0 : this.#options.clock.monotonicMs() - this.#waitingSinceMs;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#onProbed = undefined;
  }

  #schedule(): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(this.#options.keepaliveIntervalMs, () => {
      this.#waitingSinceMs = this.#options.clock.monotonicMs();
      this.#timer = this.#options.clock.after(this.#options.keepaliveTimeoutMs, this.#onSilence);
      this.#send(frame(FRAME.ping, 0, 0, KEEPALIVE));
    });
  }
}

export function pong(payload: Buffer): Buffer {
  return frame(FRAME.ping, FLAG.ack, 0, payload);
}

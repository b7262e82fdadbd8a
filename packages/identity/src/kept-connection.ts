/**
 * Keeps a gRPC channel connected, whether anybody calls or not.
 *
 * gRPC connects again by itself, with pauses, after a failure; not where a connection has come to its end, as with a server
 * that stops. Then all of its clients hear of it at once, so each waits a part of a while that it draws by lot.
 */
import type { Clock, Random, Timer } from '@ambit/core/clock';
import { type ChannelInterface, connectivityState } from '@grpc/grpc-js';
import { RECONNECT_SPREAD_MS } from './limits.ts';

export interface KeptConnectionOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Default {@link RECONNECT_SPREAD_MS}. */
  readonly spreadMs?: number;
  /** Called when there is a connection: once for one that is there already, and for each that is made later. */
  readonly onConnected?: () => void;
}

export class KeptConnection implements Disposable {
  readonly #channel: ChannelInterface;
  readonly #options: KeptConnectionOptions;
  #timer: Timer | undefined;
  #disposed = false;

  /** Connects at once. */
  constructor(channel: ChannelInterface, options: KeptConnectionOptions) {
    this.#channel = channel;
    this.#options = options;
    this.#connect();
  }

  /** The channel is as it would be without; it is not closed. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#timer?.cancel();
  }

  #connect(): void {
    const state = this.#channel.getConnectivityState(true);
    this.#watch(state);
    if (state === connectivityState.READY) this.#options.onConnected?.();
  }

  /**
   * One watcher at a time, and the next one not from within this: gRPC tells a copy of its list, and a change that is made
   * meanwhile tells them again.
   */
  #watch(state: connectivityState): void {
    let isTold = false;
    this.#channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, () => {
      if (isTold) return;
      isTold = true;
      setImmediate(() => this.#look());
    });
  }

  #look(): void {
    if (this.#disposed) return;
    const state = this.#channel.getConnectivityState(false);
    if (state === connectivityState.SHUTDOWN) return;
    const { clock, random, onConnected, spreadMs = RECONNECT_SPREAD_MS } = this.#options;
    if (state !== connectivityState.IDLE) {
      this.#watch(state);
      if (state === connectivityState.READY) onConnected?.();
      return;
    }
    this.#timer = clock.after(random() * spreadMs, () => {
      if (!this.#disposed) this.#connect();
    });
  }
}

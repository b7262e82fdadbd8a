/**
 * Tunnels that are open, by whom they lead to and for whom.
 *
 * A tunnel is used again as long as it takes streams, also after it was full. One connect per key is under way at a
 * time, and everybody who asks meanwhile shares its outcome, the failure too. A tunnel that nobody asked for in a while
 * is drained: it ends when its last stream has. A pool that drains still opens tunnels for those who are there already, and
 * drains them at once.
 */
import type { Clock, Timer } from '@ambit/core/clock';
import type { Tunnel } from './client.ts';
import { TunnelClosedError } from './errors.ts';
import type { SessionHandler } from '@ambit/http/h2/session';
import type { QueueBudget } from './queue-budget.ts';

/** Makes a tunnel; the handler is the pool's. */
export type OpenTunnel = (handler: SessionHandler) => Promise<Tunnel>;

export interface PoolOptions {
  readonly clock: Clock;
  /** Streams on one tunnel, if its peer allows as many. */
  readonly maxStreams: number;
  readonly unusedReleaseMs: number;
  /** What is held for applications that do not read: as it fills, peers may send less. */
  readonly budget: QueueBudget;
  /** A stream's window while there is room. */
  readonly streamWindowBytes: number;
}

interface Entry {
  readonly tunnels: Tunnel[];
  connecting: Promise<Tunnel> | undefined;
  timer: Timer | undefined;
  usedAtMs: number;
}

/** Who the tunnel is for and whom it leads to: tunnels are never shared across a difference in any of these. */
export function poolKey(
  sourceIdentity: string,
  expectedIdentities: readonly string[],
  nextHop: string,
  sourceIp: string,
): string {
  return `${sourceIdentity}\0${sourceIp}\0${nextHop}\0${expectedIdentities.join(' ')}`;
}

export class TunnelPool {
  readonly #options: PoolOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #budgetChange: Disposable;
  #state: 'open' | 'draining' | 'closed' = 'open';

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#budgetChange = options.budget.onChange(() => this.#fitWindows());
  }

  get openTunnels(): number {
    let count = 0;
    for (const entry of this.#entries.values()) count += entry.tunnels.length;
    return count;
  }

  /** A tunnel with room for a stream that must be opened right away, or `undefined`. */
  take(key: string): Tunnel | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    entry.usedAtMs = this.#options.clock.monotonicMs();
    for (const tunnel of entry.tunnels) if (this.#hasRoom(tunnel)) return tunnel;
    return undefined;
  }

  /**
   * A tunnel with room, made if need be.
   *
   * @throws What `open` throws, and {@link TunnelClosedError} when the pool closes.
   */
  async get(key: string, open: OpenTunnel): Promise<Tunnel> {
    for (;;) {
      if (this.#state === 'closed') throw new TunnelClosedError('pool closed');
      const tunnel = this.take(key);
      if (tunnel) return tunnel;
      const entry = this.#entryOf(key);
      entry.connecting ??= this.#open(key, entry, open);
      await entry.connecting;
    }
  }

  /** Ends every tunnel: `drain` lets its streams end first, and who comes still have one. */
  close(how: 'drain' | 'destroy'): void {
    if (this.#state !== 'closed') this.#state = how === 'drain' ? 'draining' : 'closed';
    for (const entry of this.#entries.values()) {
      entry.timer?.cancel();
      for (const { session } of [...entry.tunnels]) {
        if (how === 'drain') session.drain();
        else session.destroy();
      }
    }
    if (how === 'destroy') {
      this.#budgetChange[Symbol.dispose]();
      this.#entries.clear();
    }
  }

  #fitWindows(): void {
    for (const { tunnels } of this.#entries.values()) for (const tunnel of [...tunnels]) this.#fit(tunnel);
  }

  #fit({ session }: Tunnel): void {
    const { budget, streamWindowBytes } = this.#options;
    session.limitStreamWindow(budget.windowFor(streamWindowBytes));
  }

  #hasRoom({ session }: Tunnel): boolean {
    return session.isOpen && session.openStreams < Math.min(this.#options.maxStreams, session.maxStreams);
  }

  #entryOf(key: string): Entry {
    const known = this.#entries.get(key);
    if (known) return known;
    const { clock } = this.#options;
    const made: Entry = {
      tunnels: [],
      connecting: undefined,
      timer: undefined,
      usedAtMs: clock.monotonicMs(),
    };
    this.#entries.set(key, made);
    return made;
  }

  async #open(key: string, entry: Entry, open: OpenTunnel): Promise<Tunnel> {
    let tunnel: Tunnel | undefined;
    try {
      tunnel = await open({ onClosed: () => this.#remove(key, entry, tunnel) });
    } finally {
      entry.connecting = undefined;
      if (!tunnel) this.#dropIfEmpty(key, entry);
    }
    if (this.#state === 'closed') {
      tunnel.session.destroy();
      throw new TunnelClosedError('pool closed');
    }
    // Those who wait for it open their streams before that.
    const { session } = tunnel;
    if (this.#state === 'draining') this.#options.clock.after(0, () => session.drain());
    if (!tunnel.session.isClosed) entry.tunnels.push(tunnel);
    this.#fit(tunnel);
    this.#watch(key, entry);
    return tunnel;
  }

  #remove(key: string, entry: Entry, tunnel: Tunnel | undefined): void {
    const at = tunnel ? entry.tunnels.indexOf(tunnel) : -1;
    if (at >= 0) entry.tunnels.splice(at, 1);
    this.#dropIfEmpty(key, entry);
  }

  #dropIfEmpty(key: string, entry: Entry): void {
    if (entry.tunnels.length > 0 || entry.connecting) return;
    entry.timer?.cancel();
    if (this.#entries.get(key) === entry) this.#entries.delete(key);
  }

  /** Releases the key's tunnels once nobody has asked for one in a while. */
  #watch(key: string, entry: Entry): void {
    const { clock, unusedReleaseMs } = this.#options;
    entry.timer?.cancel();
    const restMs = Math.max(1, entry.usedAtMs + unusedReleaseMs - clock.monotonicMs());
    entry.timer = clock.after(restMs, () => {
      if (clock.monotonicMs() < entry.usedAtMs + unusedReleaseMs) {
        this.#watch(key, entry);
        return;
      }
      for (const { session } of [...entry.tunnels]) session.drain();
    });
  }
}

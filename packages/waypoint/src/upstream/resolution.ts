/**
 * Addresses of endpoints that mesh state knows by name alone, kept current while somebody asks.
 *
 * An answer is used until a newer one is here; a name that stops resolving keeps its last addresses, since a resolver that
 * fails says nothing about the endpoints.
 */
import type { Clock } from '@ambit/core/clock';
import type { Names } from '@ambit/core/names';

/** How long an answer is used before the next one is asked for, while there are requests. */
export const RENEW_MS = 5_000;

interface Entry {
  ips: readonly string[];
  askedMs: number;
  asking: Promise<void> | undefined;
}

export class Resolution {
  readonly #names: Names;
  readonly #clock: Clock;
  readonly #changed: () => void;
  readonly #entries = new Map<string, Entry>();

  /** @param changed - Called when addresses are other ones than before. */
  constructor(names: Names, clock: Clock, changed: () => void) {
    this.#names = names;
    this.#clock = clock;
    this.#changed = changed;
  }

  /** What is known now; asks for more if there is nothing, or if it is old. */
  addressesOf(hostname: string): readonly string[] {
    const nowMs = this.#clock.monotonicMs();
    const entry = this.#entries.get(hostname) ?? {
      ips: [],
      askedMs: Number.NEGATIVE_INFINITY,
      asking: undefined,
    };
    this.#entries.set(hostname, entry);
    if (!entry.asking && nowMs >= entry.askedMs + RENEW_MS) this.#ask(hostname, entry, nowMs);
    return entry.ips;
  }

  /** Whether an answer in use is old: whoever asks again gets a newer one. */
  get isOld(): boolean {
    if (this.#entries.size === 0) return false;
    const nowMs = this.#clock.monotonicMs();
    return this.#entries.values().some(({ asking, askedMs }) => !asking && nowMs >= askedMs + RENEW_MS);
  }

  /** Resolves when the questions that are out have been answered; `undefined` when none is. */
  get pending(): Promise<unknown> | undefined {
    const asking = [...this.#entries.values()].flatMap((entry) => entry.asking ?? []);
    return asking.length === 0 ? undefined : Promise.all(asking);
  }

  /** Names that nobody uses any more are forgotten. */
  keepOnly(hostnames: ReadonlySet<string>): void {
    for (const hostname of this.#entries.keys()) if (!hostnames.has(hostname)) this.#entries.delete(hostname);
  }

  #ask(hostname: string, entry: Entry, nowMs: number): void {
    entry.askedMs = nowMs;
    entry.asking = this.#names.resolve(hostname).then((ips) => {
      entry.asking = undefined;
      const isSame = ips.length === entry.ips.length && ips.every((ip) => entry.ips.includes(ip));
      if (ips.length === 0 || isSame) return;
      entry.ips = ips;
      this.#changed();
    });
  }
}

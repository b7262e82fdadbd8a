/**
 * Addresses of endpoints that mesh state knows by name alone, kept current while somebody asks.
 *
 * An answer is used until a newer one is here; a name that stops resolving keeps its last addresses, since a resolver that
 * fails says nothing about the endpoints.
 */
import type { Clock } from '@ambit/core/clock';
import type { Names } from '@ambit/core/names';

/** How long an answer (or none) is used before the next one is asked for, while there are requests. */
export const RENEW_MS = 5_000;

interface Entry {
  ips: readonly string[];
  /** Or given up. */
  answeredMs: number;
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
    const entry = this.#entryOf(hostname);
    if (this.#isDue(entry)) this.#await(entry, this.#names.resolve(hostname));
    return entry.ips;
  }

  /** What is known now. */
  knownOf(hostname: string): readonly string[] {
    return this.#entries.get(hostname)?.ips ?? [];
  }

  /**
   * Asks for more on behalf of a client, if there is nothing, or if it is old.
   *
   * @returns Whether that could be done, or needed none: `false` when the client has too many questions out.
   */
  ask(hostname: string, client: string | undefined): boolean {
    const entry = this.#entryOf(hostname);
    if (!this.#isDue(entry)) return true;
    const answer = this.#names.tryResolve(hostname, client);
    if (answer) this.#await(entry, answer);
    return answer !== undefined;
  }

  /** Whether an answer in use is old: whoever asks again gets a newer one. */
  get isOld(): boolean {
    if (this.#entries.size === 0) return false;
    return this.#entries.values().some((entry) => this.#isDue(entry));
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

  #entryOf(hostname: string): Entry {
    const known = this.#entries.get(hostname);
    if (known) return known;
    const made = { ips: [], answeredMs: Number.NEGATIVE_INFINITY, asking: undefined };
    this.#entries.set(hostname, made);
    return made;
  }

  #isDue({ asking, answeredMs }: Entry): boolean {
    return !asking && this.#clock.monotonicMs() >= answeredMs + RENEW_MS;
  }

  #await(entry: Entry, answer: Promise<readonly string[]>): void {
    entry.asking = answer.then((ips) => {
      entry.asking = undefined;
      entry.answeredMs = this.#clock.monotonicMs();
      const isSame = ips.length === entry.ips.length && ips.every((ip) => entry.ips.includes(ip));
      if (ips.length === 0 || isSame) return;
      entry.ips = ips;
      this.#changed();
    });
  }
}

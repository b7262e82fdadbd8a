/** Hostnames of workloads that have no address: asked of the system's resolver, remembered for a moment. */
import { lookup } from 'node:dns/promises';
import type { Clock } from './clock.ts';
import { parseIp } from './ip.ts';

/** Names that are remembered. */
export const MAX_RESOLVED_NAMES = 4_096;
/** How long an answer is believed: the resolver does not tell its own lifetime. */
export const RESOLVED_TTL_MS = 5_000;
export const RESOLVE_TIMEOUT_MS = 5_000;
/** Questions at a time, where nobody says who may ask how many; further names have no answer. */
export const MAX_RESOLUTIONS_IN_FLIGHT = 256;

export type Lookup = (hostname: string) => Promise<readonly string[]>;

/** Room for questions that are under way. */
export interface QuestionPlaces {
  /** Whether there is room for one more of `asker`, which then has it until {@link release}. */
  tryTake(asker: string | undefined): boolean;
  release(asker: string | undefined): void;
}

interface Answer {
  readonly ips: Promise<readonly string[]>;
  readonly untilMs: number;
}

export class Names {
  readonly #clock: Clock;
  readonly #lookup: Lookup;
  readonly #places: QuestionPlaces;
  readonly #answers = new Map<string, Answer>();

  /** @param places - Default: {@link MAX_RESOLUTIONS_IN_FLIGHT}, whoever asks. */
  constructor(clock: Clock, ask: Lookup = systemLookup, places: QuestionPlaces = new SharedPlaces()) {
    this.#clock = clock;
    this.#lookup = ask;
    this.#places = places;
  }

  /** Canonical addresses; none if the name has none, no answer came in time, or too many are asked for. */
  resolve(hostname: string): Promise<readonly string[]> {
    return this.tryResolve(hostname, undefined) ?? Promise.resolve([]);
  }

  /**
   * The same for somebody in particular.
   *
   * @returns `undefined` where that would be one question too many: nobody is asked, and nothing is remembered of it.
   */
  tryResolve(hostname: string, asker: string | undefined): Promise<readonly string[]> | undefined {
    const known = this.#answers.get(hostname);
    if (known && known.untilMs > this.#clock.monotonicMs()) return known.ips;
    if (!this.#places.tryTake(asker)) return undefined;
    if (this.#answers.size >= MAX_RESOLVED_NAMES) this.#answers.clear();
    const ips = this.#ask(hostname, asker);
    this.#answers.set(hostname, { ips, untilMs: this.#clock.monotonicMs() + RESOLVED_TTL_MS });
    return ips;
  }

  async #ask(hostname: string, asker: string | undefined): Promise<readonly string[]> {
    const late = new AbortController();
    const timeout = this.#clock.sleep(RESOLVE_TIMEOUT_MS, late.signal).then(
      () => [],
      () => [],
    );
    const answer = this.#lookup(hostname).catch(() => []);
    void answer.then(() => {
      this.#places.release(asker);
      late.abort();
    });
    const found = await Promise.race([answer, timeout]);
    return found.map((ip) => parseIp(ip)).filter((ip) => ip !== undefined);
  }
}

class SharedPlaces implements QuestionPlaces {
  #taken = 0;

  tryTake(): boolean {
    if (this.#taken >= MAX_RESOLUTIONS_IN_FLIGHT) return false;
    this.#taken += 1;
    return true;
  }

  release(): void {
    this.#taken -= 1;
  }
}

async function systemLookup(hostname: string): Promise<readonly string[]> {
  const found = await lookup(hostname, { all: true });
  return found.map(({ address }) => address);
}

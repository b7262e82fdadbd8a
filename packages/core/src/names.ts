/** Hostnames of workloads that have no address: asked of the system's resolver, remembered for a moment. */
import { lookup } from 'node:dns/promises';
import type { Clock } from './clock.ts';
import { parseIp } from './ip.ts';

/** Names that are remembered. */
export const MAX_RESOLVED_NAMES = 4_096;
/** How long an answer is believed: the resolver does not tell its own lifetime. */
export const RESOLVED_TTL_MS = 5_000;
export const RESOLVE_TIMEOUT_MS = 5_000;
/** Questions at a time; further names have no answer. */
export const MAX_RESOLUTIONS_IN_FLIGHT = 256;

export type Lookup = (hostname: string) => Promise<readonly string[]>;

interface Answer {
  readonly ips: Promise<readonly string[]>;
  readonly untilMs: number;
}

export class Names {
  readonly #clock: Clock;
  readonly #lookup: Lookup;
  readonly #answers = new Map<string, Answer>();
  #inFlight = 0;

  constructor(clock: Clock, ask: Lookup = systemLookup) {
    this.#clock = clock;
    this.#lookup = ask;
  }

  /** Canonical addresses; none if the name has none, or no answer came in time. */
  resolve(hostname: string): Promise<readonly string[]> {
    const known = this.#answers.get(hostname);
    if (known && known.untilMs > this.#clock.monotonicMs()) return known.ips;
    if (this.#inFlight >= MAX_RESOLUTIONS_IN_FLIGHT) return Promise.resolve([]);
    if (this.#answers.size >= MAX_RESOLVED_NAMES) this.#answers.clear();
    const ips = this.#ask(hostname);
    this.#answers.set(hostname, { ips, untilMs: this.#clock.monotonicMs() + RESOLVED_TTL_MS });
    return ips;
  }

  async #ask(hostname: string): Promise<readonly string[]> {
    this.#inFlight += 1;
    const late = new AbortController();
    const timeout = this.#clock.sleep(RESOLVE_TIMEOUT_MS, late.signal).then(
      () => [],
      () => [],
    );
    const answer = this.#lookup(hostname).catch(() => []);
    void answer.then(() => {
      this.#inFlight -= 1;
      late.abort();
    });
    const found = await Promise.race([answer, timeout]);
    return found.map((ip) => parseIp(ip)).filter((ip) => ip !== undefined);
  }
}

async function systemLookup(hostname: string): Promise<readonly string[]> {
  const found = await lookup(hostname, { all: true });
  return found.map(({ address }) => address);
}

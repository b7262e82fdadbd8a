/** A running application as a suite's hand: it asks, loads, and is described. */
import type { Pod } from '@ambit/kube/resources/core';
import type { Amiss } from '../../echo/about.ts';
import type {
  Clock,
  LoadOrder,
  LoadReport,
  RequestKind,
  RequestOrder,
  RequestOutcome,
} from '../../echo/messages.ts';
import { PORTS } from '../../echo/ports.ts';
import type { Cluster } from './cluster.ts';
import { askPod } from './pod-http.ts';
import { EVERYBODY, eventually, until } from './wait.ts';

/** The port of each kind of request. */
export const PORT_OF_KIND: Readonly<Record<RequestKind, number>> = {
  http: PORTS.http,
  http2: PORTS.http2,
  grpc: PORTS.grpc,
  websocket: PORTS.http,
  tcp: PORTS.tcp,
  greeting: PORTS.greeting,
};

export const KINDS = Object.keys(PORT_OF_KIND) as readonly RequestKind[];

/** What is asked most: a kind at a host, on the port that goes with it. */
export type Asked = Omit<RequestOrder, 'port' | 'kind'> & {
  readonly kind?: RequestKind;
  readonly port?: number;
};

export type Load = Omit<LoadOrder, 'port' | 'kind' | 'durationMs'> & {
  readonly kind?: RequestKind;
  readonly port?: number;
  readonly durationMs?: number;
};

const LOAD_DURATION_MS = 300_000;
/** Far beyond what any answer takes: what must go well fails because it was lost, not because the machine is busy. */
const PATIENT_MS = 30_000;
/** Of a request that is asked again until it goes as it is to go. */
const TRY_MS = 10_000;
const REFUSAL_MS = 3_000;
const CLOCK_READINGS = 5;

export class EchoPod {
  readonly #cluster: Cluster;
  readonly namespace: string;
  readonly name: string;
  /** As it was when it became ready. */
  readonly ip: string;
  /** Its IPv6 address; empty where it has none. */
  readonly ip6: string;
  readonly node: string;
  readonly uid: string;
  readonly #controlPort: number;

  constructor(cluster: Cluster, { metadata, spec, status }: Pod, controlPort: number = PORTS.control) {
    this.#cluster = cluster;
    this.namespace = metadata.namespace ?? '';
    this.name = metadata.name;
    this.ip = status?.podIP ?? '';
    this.ip6 = (status?.podIPs ?? []).map(({ ip }) => ip).find((ip) => ip.includes(':')) ?? '';
    this.node = spec?.nodeName ?? '';
    this.uid = metadata.uid ?? '';
    this.#controlPort = controlPort;
  }

  /** One request, whatever becomes of it. */
  async ask(asked: Asked): Promise<RequestOutcome> {
    const kind = asked.kind ?? 'http';
    return (await this.#control('POST', '/request', {
      ...asked,
      kind,
      port: asked.port ?? PORT_OF_KIND[kind],
    })) as RequestOutcome;
  }

  /** One request that must go well. */
  async mustReach(asked: Asked): Promise<RequestOutcome & { readonly ok: true }> {
    const outcome = await this.ask({ timeoutMs: PATIENT_MS, ...asked });
    if (outcome.ok) return outcome;
    const to = `${asked.kind ?? 'http'} ${asked.host}:${asked.port ?? ''}`;
    throw new Error(`${this.namespace}/${this.name} → ${to}: ${outcome.error} after ${outcome.latencyMs} ms`);
  }

  async eventuallyReaches(asked: Asked): Promise<RequestOutcome> {
    return await eventually(
      `${this.name} reaches ${asked.host}`,
      () => this.ask({ timeoutMs: TRY_MS, ...asked }),
      ({ ok }) => ok,
    );
  }

  /**
   * Waits until a host answers whatever the way to it is: pods that are ready are not yet known to the proxy of the client's
   * node, to every server of DNS, to each pod of a waypoint. What must not fail from here on begins then.
   */
  async settledOn(asked: Asked): Promise<void> {
    await eventually(
      `${this.name} always reaches ${asked.host}`,
      () => this.ask({ timeoutMs: TRY_MS, ...asked }),
      ({ ok }) => ok,
      { inARow: EVERYBODY },
    );
  }

  /** Waits until each of these pods has answered for the host: then the client's node knows of them all. */
  async eventuallyReachesAll(asked: Asked, names: readonly string[]): Promise<void> {
    const missing = new Set(names);
    await until(
      `${this.name} reaches every pod behind ${asked.host}`,
      async () => {
        const outcome = await this.ask({ timeoutMs: TRY_MS, ...asked });
        if (outcome.ok && outcome.server) missing.delete(outcome.server.pod);
        return missing.size === 0;
      },
      { timeoutMs: 120_000, everyMs: 20 },
    );
  }

  /**
   * Waits until it is refused in these words; a machine that does nothing for a while keeps it waiting as well.
   *
   * @returns the words.
   */
  async eventuallyRefused(asked: Asked, says = /^/): Promise<string> {
    const outcome = await eventually(
      `${this.name} is kept from ${asked.host}: ${says.source}`,
      () => this.ask({ timeoutMs: REFUSAL_MS, ...asked }),
      (seen) => !seen.ok && says.test(seen.error),
    );
    return outcome.ok ? '' : outcome.error;
  }

  /** What is wrong with its own answers of HTTP from now on; with nothing, they are well. */
  async becomes(amiss: Partial<Amiss>): Promise<void> {
    await this.#control('POST', '/amiss', amiss);
  }

  /** The request that FIRST_REQUEST ordered. */
  async firstRequest(): Promise<RequestOutcome> {
    return (await this.#control('GET', '/first')) as RequestOutcome;
  }

  /** How far its node's clock is ahead of ours: 0 if an answer leaves it open whether the two are one. */
  async clockAheadMs(): Promise<number> {
    let best = { tookMs: Number.POSITIVE_INFINITY, aheadMs: 0 };
    for (let n = 0; n < CLOCK_READINGS; n++) {
      const askedMs = Date.now();
      const { nowMs } = (await this.#control('GET', '/clock')) as Clock;
      const tookMs = Date.now() - askedMs;
      if (tookMs < best.tookMs) best = { tookMs, aheadMs: nowMs - (askedMs + tookMs / 2) };
    }
    return Math.abs(best.aheadMs) <= best.tookMs / 2 ? 0 : best.aheadMs;
  }

  async load(load: Load): Promise<RunningLoad> {
    const kind = load.kind ?? 'http';
    const order: LoadOrder = {
      durationMs: LOAD_DURATION_MS,
      timeoutMs: PATIENT_MS,
      ...load,
      kind,
      port: load.port ?? PORT_OF_KIND[kind],
    };
    const { id } = (await this.#control('POST', '/loads', order)) as { readonly id: string };
    return new RunningLoad(
      () => this.#control('GET', `/loads/${id}`) as Promise<LoadReport>,
      () => this.#control('POST', `/loads/${id}/end`) as Promise<LoadReport>,
    );
  }

  async #control(method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown> {
    const at = { namespace: this.namespace, name: this.name, port: this.#controlPort };
    const answer = await askPod(this.#cluster.client, at, method, path, body);
    if (answer.status !== 200)
      throw new Error(`${this.name}: ${method} ${path}: ${answer.status} ${answer.body}`);
    return JSON.parse(answer.body) as unknown;
  }
}

/** A load under way. Its reports can be read while the API server comes and goes. */
class RunningLoad {
  readonly #report: () => Promise<LoadReport>;
  readonly #end: () => Promise<LoadReport>;

  constructor(report: () => Promise<LoadReport>, end: () => Promise<LoadReport>) {
    this.#report = report;
    this.#end = end;
  }

  async report(): Promise<LoadReport> {
    return await eventually('a report of the load', this.#report, () => true);
  }

  async end(): Promise<LoadReport> {
    return await eventually('the end of the load', this.#end, () => true);
  }

  /** Waits until so many requests have gone well, counted from the beginning. */
  async hasServed(count: number): Promise<LoadReport> {
    return await eventually(`${count} requests served`, this.#report, ({ ok }) => ok >= count);
  }
}

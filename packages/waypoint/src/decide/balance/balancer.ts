/**
 * The choice of an endpoint. Built for one set of endpoints, and asked for each request.
 *
 * What changes with every request (load, ejection) is read from the endpoints themselves, which belong to `upstream/`;
 * what changes seldom (the set, weights, localities) makes a new balancer. Chance and time are handed in.
 *
 * Levels are preferred in turn: as long as enough of the first are healthy it gets everything, and what it can no longer
 * carry goes on to the next (Envoy's priorities, with its factor of 1.4). Panic is Istio's: off, so that a set with nobody
 * healthy gets nothing; a DestinationRule's `minHealthPercent` turns it on below that share, and then health is not asked.
 */
import type { Random } from '@ambit/core/clock';
import type { Place } from '@ambit/model/load-balance';
import type { LoadBalancer } from '../../resources/destination-policy.ts';
import { drawByWeight } from '../draw.ts';
import { LeastRequestPicker, RandomPicker } from './draw-picker.ts';
import type { Level } from './levels.ts';
import { MaglevPicker } from './maglev-picker.ts';
import type { Picker, Warmth, Weighted } from './picker.ts';
import { RingHashPicker } from './ring-hash-picker.ts';
import { RoundRobinPicker } from './round-robin-picker.ts';

/** What a balancer must know of an endpoint. The last two change while it is in use. */
export interface BalancedEndpoint extends Place {
  /** Unique in its set, and the same for as long as the endpoint is: what consistent hashing hashes. `ip:port`. */
  readonly key: string;
  /** 0 receives nothing. */
  readonly weight: number;
  /** When it came, as `Clock.monotonicMs` has it, for slow start. */
  readonly sinceMs: number;
  /** Neither unhealthy nor ejected. Whoever changes it tells {@link Balancer.healthChanged}. */
  readonly isHealthy: boolean;
  readonly activeRequests: number;
}

export interface PickRequest<E> {
  /** From what hash-key.ts found in the request; `undefined`: any endpoint will do. */
  readonly hash: number | undefined;
  /** Endpoints not to pick if there is another: those that failed this request before. */
  readonly avoid: ReadonlySet<E>;
  /** `Clock.monotonicMs`. */
  readonly nowMs: number;
  readonly random: Random;
}

export interface BalancerOptions {
  readonly loadBalancer: LoadBalancer | undefined;
  /** Below this share of healthy endpoints health is not asked. 0: never. */
  readonly panicPercent: number;
  readonly random: Random;
}

/** How often an endpoint that is to be avoided is drawn again before all are looked at. */
const MAX_REDRAWS = 4;
/** A level carries everything as long as this much of it, times its healthy share, is a whole. */
const OVERPROVISIONING = 1.4;

/** Who may be picked now, of one level. */
interface OpenLevel<E> {
  /** Of all requests. */
  readonly weight: number;
  readonly groups: readonly OpenGroup<E>[];
}

interface OpenGroup<E> {
  readonly weight: number;
  readonly endpoints: readonly E[];
  readonly picker: Picker<E>;
}

export class Balancer<E extends BalancedEndpoint> {
  readonly #levels: readonly Level<E>[];
  readonly #options: BalancerOptions;
  #open: readonly OpenLevel<E>[] | undefined;

  /** @param levels - Of levels.ts, from the most preferred on. */
  constructor(levels: readonly Level<E>[], options: BalancerOptions) {
    this.#levels = levels;
    this.#options = options;
  }

  /** All endpoints, also those that may not be picked now. */
  get endpoints(): readonly E[] {
    return this.#levels.flatMap(({ groups }) => groups.flatMap(({ endpoints }) => endpoints));
  }

  /** An endpoint became healthy, or ceased to be. */
  healthChanged(): void {
    this.#open = undefined;
  }

  /** `undefined`: there is none that may be used. */
  pick(request: PickRequest<E>): E | undefined {
    this.#open ??= this.#openLevels();
    const level = drawByWeight(this.#open, request.random);
    const group = level && drawByWeight(level.groups, request.random);
    if (group === undefined) return undefined;
    const picked = group.picker.pick(request, 0);
    if (!request.avoid.has(picked)) return picked;
    return this.#another(group, request) ?? picked;
  }

  /** Redraws, then looks at all: first of the group, then of everything that is open. */
  #another(group: OpenGroup<E>, request: PickRequest<E>): E | undefined {
    for (let attempt = 1; attempt <= MAX_REDRAWS; attempt++) {
      const picked = group.picker.pick(request, attempt);
      if (!request.avoid.has(picked)) return picked;
    }
    const everywhere = (this.#open ?? []).flatMap(({ groups }) =>
      groups.flatMap(({ endpoints }) => endpoints),
    );
    for (const endpoints of [group.endpoints, everywhere]) {
      const left = endpoints.filter((endpoint) => !request.avoid.has(endpoint));
      if (left.length > 0) return left[Math.floor(request.random() * left.length)];
    }
    return undefined;
  }

  #openLevels(): readonly OpenLevel<E>[] {
    const all = this.endpoints.filter(({ weight }) => weight > 0);
    const healthy = all.filter(({ isHealthy }) => isHealthy).length;
    const panics = (healthy * 100) / all.length < this.#options.panicPercent;
    let left = 1;
    return this.#levels.map(({ groups }) => {
      const usable = groups.map((group) => ({
        ...group,
        endpoints: group.endpoints.filter(({ isHealthy, weight }) => weight > 0 && (panics || isHealthy)),
      }));
      const share = usableShare(groups, usable);
      const weight = Math.min(left, share * OVERPROVISIONING);
      left -= weight;
      const open = usable.filter(({ endpoints }) => endpoints.length > 0);
      return {
        weight,
        groups: open.map((group) => ({
          weight: group.weight * Math.min(1, OVERPROVISIONING * healthyShareOf(group, groups)),
          endpoints: group.endpoints,
          picker: this.#picker(group.endpoints),
        })),
      };
    });
  }

  #picker(endpoints: readonly E[]): Picker<E> {
    const { loadBalancer, random } = this.#options;
    const entries: readonly Weighted<E>[] = endpoints.map((endpoint) => ({
      endpoint,
      weight: endpoint.weight,
    }));
    const hash = loadBalancer?.consistentHash;
    if (hash?.algorithm === 'maglev') return new MaglevPicker(entries, hash.tableSize);
    if (hash) return new RingHashPicker(entries, hash.tableSize);
    const warmth = warmthOf<E>(loadBalancer?.warmupMs ?? 0);
    const simple = loadBalancer?.simple ?? 'least-request';
    switch (simple) {
      case 'round-robin':
        return new RoundRobinPicker(entries, warmth, random());
      case 'random':
        return new RandomPicker(entries, warmth);
      case 'least-request':
        return new LeastRequestPicker(entries, warmth);
      default:
        return simple satisfies never;
    }
  }
}

type Group<E> = Level<E>['groups'][number];

function sizeOf<E extends BalancedEndpoint>({ endpoints }: Group<E>): number {
  return endpoints.filter(({ weight }) => weight > 0).length;
}

/** Of a level: how many of its endpoints may be used. */
function usableShare<E extends BalancedEndpoint>(
  groups: readonly Group<E>[],
  usable: readonly Group<E>[],
): number {
  const all = groups.reduce((sum, group) => sum + sizeOf(group), 0);
  return all === 0 ? 0 : usable.reduce((sum, { endpoints }) => sum + endpoints.length, 0) / all;
}

function healthyShareOf<E extends BalancedEndpoint>(usable: Group<E>, groups: readonly Group<E>[]): number {
  const whole = groups.find(({ name }) => name === usable.name);
  return whole ? usable.endpoints.length / sizeOf(whole) : 1;
}

/** Envoy's: never less than a tenth, so that a new endpoint is seen at all. */
const LEAST_WARMTH = 0.1;

function warmthOf<E extends BalancedEndpoint>(warmupMs: number): Warmth<E> | undefined {
  if (warmupMs === 0) return undefined;
  return ({ sinceMs }, nowMs) => Math.min(1, Math.max(LEAST_WARMTH, (nowMs - sinceMs) / warmupMs));
}

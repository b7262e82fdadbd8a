/** Policies by what they are attached to, and those that bind one service. */
import type { ServiceKey } from '@ambit/model/address';
import type { AuthorizationPolicy } from '../authorization-policy.ts';
import { byAge } from '../origin.ts';
import type { PolicyTarget } from '../policy-target.ts';
import type { RequestAuthentication } from '../request-authentication.ts';
import type { BoundPolicies, PortConfig } from '../snapshot.ts';
import type { Touched } from '../store.ts';
import type { Telemetry } from '../telemetry.ts';

/** A waypoint, as policies name it. */
export interface WaypointSelf {
  readonly namespace: string;
  /** Of its Gateway. */
  readonly gatewayName: string;
}

interface Policy {
  readonly key: string;
  readonly targets: readonly PolicyTarget[];
}

/** Policies of one kind. */
export class TargetIndex<P extends Policy> {
  readonly #gateway: string;
  readonly #byService = new Map<ServiceKey, Set<P>>();
  readonly #ofWaypoint = new Set<P>();
  readonly #ofAll = new Set<P>();
  readonly #untargeted = new Set<P>();

  constructor(self: WaypointSelf) {
    this.#gateway = `${self.namespace}/${self.gatewayName}`;
  }

  replace(held: P | undefined, policy: P | undefined, touched: Touched): void {
    if (held) this.#each(held, touched, (set) => set.delete(held));
    if (policy) this.#each(policy, touched, (set) => set.add(policy));
  }

  /** Those that name the service, in the order of their keys; then those of this waypoint; then those of all. */
  for(service: ServiceKey | undefined): readonly (readonly P[])[] {
    const own = service === undefined ? [] : (this.#byService.get(service) ?? []);
    return [own, this.#ofWaypoint, this.#ofAll].map(sorted);
  }

  untargeted(): readonly P[] {
    return sorted(this.#untargeted);
  }

  #each(policy: P, touched: Touched, act: (set: Set<P>) => void): void {
    if (policy.targets.length === 0) {
      act(this.#untargeted);
      touched.all = true;
    }
    for (const target of policy.targets) {
      if (target.kind === 'service') {
        const set = this.#byService.get(target.service) ?? new Set();
        act(set);
        if (set.size === 0) this.#byService.delete(target.service);
        else this.#byService.set(target.service, set);
        touched.services.add(target.service);
      } else if (target.kind === 'all-waypoints' || target.gateway === this.#gateway) {
        act(target.kind === 'gateway' ? this.#ofWaypoint : this.#ofAll);
        touched.all = true;
      }
    }
  }
}

function sorted<P extends Policy>(policies: Iterable<P>): readonly P[] {
  return [...policies].sort((a, b) => (a.key < b.key ? -1 : 1));
}

export class PolicyIndexes {
  readonly authorization: TargetIndex<AuthorizationPolicy>;
  readonly authentication: TargetIndex<RequestAuthentication>;
  readonly telemetry: TargetIndex<Telemetry>;
  readonly #self: WaypointSelf;
  readonly #rootNamespace: () => string;

  /** @param rootNamespace - Telemetry of that namespace without targets is for the whole mesh. */
  constructor(self: WaypointSelf, rootNamespace: () => string) {
    this.#self = self;
    this.#rootNamespace = rootNamespace;
    this.authorization = new TargetIndex(self);
    this.authentication = new TargetIndex(self);
    this.telemetry = new TargetIndex(self);
  }

  /** @param service - `undefined`: for traffic to the address of a workload. */
  for(service: ServiceKey | undefined): Omit<PortConfig, 'http' | 'streams'> {
    return {
      authorization: boundPolicies(unique(this.authorization.for(service))),
      authentication: unique(this.authentication.for(service)),
      telemetry: unique([...this.telemetry.for(service), ...this.#byNamespace(service)]),
    };
  }

  /** Of each namespace that has a say the oldest: the service's, the waypoint's, and the whole mesh's. */
  #byNamespace(service: ServiceKey | undefined): readonly (readonly Telemetry[])[] {
    const untargeted = [...this.telemetry.untargeted()].sort((a, b) => byAge(a.origin, b.origin));
    const own = service?.slice(0, service.indexOf('/'));
    const namespaces = new Set([own ?? '', this.#self.namespace, this.#rootNamespace()]);
    return [...namespaces].map((namespace) =>
      untargeted.filter(({ origin }) => origin.namespace === namespace).slice(0, 1),
    );
  }
}

/** In order; a policy that is attached twice is there once. */
function unique<P>(groups: readonly (readonly P[])[]): readonly P[] {
  return [...new Set(groups.flat())];
}

export function boundPolicies(policies: readonly AuthorizationPolicy[]): BoundPolicies {
  const ordered = sorted(policies);
  const enforced = ordered.filter(({ dryRun }) => !dryRun);
  const hasDryRun = enforced.length < ordered.length;
  return { ...byAction(enforced), withDryRun: hasDryRun ? byAction(ordered) : undefined };
}

function byAction(policies: readonly AuthorizationPolicy[]): BoundPolicies {
  const readable = policies.filter(({ unreadable }) => unreadable === undefined);
  return {
    custom: readable.filter(({ action }) => action === 'CUSTOM'),
    deny: readable.filter(({ action }) => action === 'DENY'),
    allow: readable.filter(({ action }) => action === 'ALLOW'),
    audit: readable.filter(({ action }) => action === 'AUDIT'),
    unreadable: policies.filter(({ unreadable }) => unreadable !== undefined),
    withDryRun: undefined,
  };
}

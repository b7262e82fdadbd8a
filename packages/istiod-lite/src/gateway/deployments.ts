/**
 * Makes what is wanted of each waypoint be there: applies what differs, and removes what is wanted no longer. By one replica.
 *
 * Server-side apply under a field manager of its own, so that whatever nobody asked for stays as others set it. An object of
 * the same name that no controller of waypoints made for this Gateway is left alone, and the Gateway's status says so. What
 * belongs to a Gateway that is deleted goes with it, by its owner references.
 */
import type { Collection } from '@ambit/collections/collection';
import { StaticCollection } from '@ambit/collections/static';
import type { Clock, Random } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import { isConflict, isNotFound, KubeStatusError } from '@ambit/kube/errors';
import { keyOf, type KubeObject, type ObjectMeta } from '@ambit/kube/resource';
import type { Gateway } from '@ambit/kube/resources/gateway';
import { pick } from '@ambit/kube/pick';
import { withoutNulls } from '@ambit/kube/without-nulls';
import { watchCollection } from '@ambit/kube/watch-collection';
import { isDeepStrictEqual } from 'node:util';
import { NotOursError } from '../errors.ts';
import { KeyedWorker } from '../keyed-worker.ts';
import {
  GATEWAY_NAME_LABEL,
  isManagedFor,
  type Manifest,
  type Part,
  PARTS,
  RESOURCE_OF,
  titleOf,
  type WaypointObjects,
} from './decide/manifest.ts';
import type { OwnGateway, Wanted } from './wanted.ts';

export const FIELD_MANAGER = 'istio.io/gateway-controller';

export interface GatewayDeploymentsOptions {
  readonly client: KubeClient;
  readonly wanted: Wanted;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** What an object looked like after it was applied, and what was applied. */
interface Applied {
  readonly manifest: Manifest;
  readonly found: KubeObject;
}

export class GatewayDeployments implements AsyncDisposable {
  readonly #options: GatewayDeploymentsOptions;
  readonly #log: Logger;
  /** What bears the label of a Gateway. */
  readonly #live: ReadonlyMap<Part, Collection<string, KubeObject>>;
  /** By part and `namespace/name`; of what is there. */
  readonly #applied = new Map<string, Applied>();
  readonly #problems = new StaticCollection<string, string>({ name: 'problems of gateways' });
  readonly #worker: KeyedWorker;
  readonly #scope = new AsyncDisposableStack();

  constructor(options: GatewayDeploymentsOptions) {
    const { client, wanted, clock, random } = options;
    this.#options = options;
    this.#log = options.log.scope('gateway');
    const work = (key: string, signal: AbortSignal) => this.#reconcile(key, signal);
    this.#worker = this.#scope.use(
      new KeyedWorker({ name: 'gateway deployment', work, clock, random, log: this.#log }),
    );
    const watch = { clock, random, log: this.#log, labelSelector: GATEWAY_NAME_LABEL, trim };
    this.#live = new Map(
      PARTS.map((part) => [part, this.#scope.use(watchCollection(client, RESOURCE_OF[part], watch))]),
    );
    for (const [part, live] of this.#live) {
      this.#scope.use(
        live.subscribe((events) => {
          for (const { key, previous, value } of events) {
            if (!value) this.#applied.delete(`${part} ${key}`);
            this.#look(value ?? previous);
          }
        }),
      );
      this.#scope.use(live.synced.subscribe(() => this.#all()));
    }
    for (const gateways of [wanted.objects, wanted.givenUp])
      this.#scope.use(
        gateways.subscribe((events: readonly { readonly key: string }[]) => {
          for (const { key } of events) this.#worker.add(key);
        }),
      );
    this.#all();
  }

  /** By `namespace/name` of the Gateway: what could not be done, for its status. */
  get problems(): Collection<string, string> {
    return this.#problems;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.disposeAsync();
  }

  #all(): void {
    const { objects, givenUp } = this.#options.wanted;
    for (const key of objects.keys()) this.#worker.add(key);
    for (const key of givenUp.keys()) this.#worker.add(key);
  }

  #look(object: KubeObject | undefined): void {
    const { namespace = '', labels } = object?.metadata ?? {};
    const key = `${namespace}/${labels?.[GATEWAY_NAME_LABEL] ?? ''}`;
    const { objects, givenUp } = this.#options.wanted;
    if (objects.has(key) || givenUp.has(key)) this.#worker.add(key);
  }

  async #reconcile(key: string, signal: AbortSignal): Promise<void> {
    const { wanted } = this.#options;
    const own = wanted.gateways.get(key);
    const overlaid = wanted.objects.get(key);
    // Before everything that is there is known, nothing can be told from what is not.
    if (![...this.#live.values()].every(({ synced }) => synced.value)) return;
    const givenUp = wanted.givenUp.get(key);
    if (givenUp) await this.#removeOthers(givenUp, {}, signal);
    if (!own || overlaid?.kind !== 'objects') {
      this.#problems.delete(key);
      return;
    }
    try {
      for (const part of PARTS) {
        const manifest = overlaid.objects[part];
        if (manifest) await this.#apply(own, part, manifest, signal);
      }
      await this.#removeOthers(own.gateway, overlaid.objects, signal);
      this.#problems.delete(key);
    } catch (error) {
      if (!signal.aborted && isForTheUser(error)) this.#problems.set(key, messageOf(error));
      throw error;
    }
  }

  async #apply(own: OwnGateway, part: Part, manifest: Manifest, signal: AbortSignal): Promise<void> {
    const { client } = this.#options;
    const at = { namespace: manifest.metadata.namespace, name: manifest.metadata.name };
    const key = `${part} ${keyOf(manifest)}`;
    const live = this.#live.get(part)?.get(keyOf(manifest));
    const before = this.#applied.get(key);
    // What the watch has not told of yet is looked at, not applied again.
    const there = live ?? (await client.find(RESOURCE_OF[part], at, signal));
    if (there && before?.manifest === manifest && isDeepStrictEqual(trim(there), before.found)) return;
    if (there && !isManagedFor(there.metadata, own.gateway.metadata.name))
      throw new NotOursError(titleOf(manifest));
    // With the uid: never one upon another that came in between.
    const metadata = { ...manifest.metadata, ...(there?.metadata.uid && { uid: there.metadata.uid }) };
    const patch = { type: 'apply', body: { ...manifest, metadata }, force: true } as const;
    const options = { fieldManager: FIELD_MANAGER };
    const found = await client.patch(RESOURCE_OF[part], at, patch, options, signal);
    this.#applied.set(key, { manifest, found: trim(found) });
    if (!there) this.#log.info('made for a waypoint', { object: titleOf(manifest) });
  }

  /** What was made for this Gateway once, and is wanted no longer: another name, no autoscaler, or nothing at all. */
  async #removeOthers(
    { metadata: { namespace, name, uid } }: Gateway,
    objects: Partial<WaypointObjects>,
    signal: AbortSignal,
  ): Promise<void> {
    const { client } = this.#options;
    for (const part of PARTS.toReversed()) {
      for (const { metadata } of this.#live.get(part)?.values() ?? []) {
        const isMadeForIt =
          metadata.namespace === namespace &&
          isManagedFor(metadata, name) &&
          metadata.ownerReferences?.some((owner) => owner.uid === uid);
        if (!isMadeForIt || objects[part]?.metadata.name === metadata.name) continue;
        await this.#remove(client, part, metadata, signal);
      }
    }
  }

  async #remove(client: KubeClient, part: Part, metadata: ObjectMeta, signal: AbortSignal): Promise<void> {
    const { namespace, name, uid } = metadata;
    const precondition = uid === undefined ? {} : { uid };
    try {
      await client.delete(
        RESOURCE_OF[part],
        { namespace, name },
        { ...precondition, propagation: 'Background' },
        signal,
      );
      this.#log.info('no longer wanted of a waypoint', {
        object: `${RESOURCE_OF[part].kind} ${namespace ?? ''}/${name}`,
      });
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }
}

/** Not what another try may get past by itself: a server that is away or busy, an object that changed meanwhile. */
function isForTheUser(error: unknown): boolean {
  if (error instanceof NotOursError) return true;
  return error instanceof KubeStatusError && error.status < 500 && ![401, 409, 429].includes(error.status);
}

/** What decides whether an object is as it was when it was applied: not its status, not its version. */
function trim(object: KubeObject): KubeObject {
  const { spec } = object as Manifest;
  const metadata: ObjectMeta = pick(object.metadata, [
    'name',
    'namespace',
    'uid',
    'labels',
    'annotations',
    'ownerReferences',
    'deletionTimestamp',
  ]);
  return withoutNulls({ metadata, ...(spec && { spec }) } as KubeObject);
}

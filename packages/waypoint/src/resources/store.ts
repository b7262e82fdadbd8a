/**
 * The resources of the control plane, kept, decoded and joined: what xDS writes and everything else reads.
 *
 * Joined when first asked for and remembered until something that was joined changes, so a changed route of a thousand
 * costs the tables of its own parents, at their next request.
 */
import { MESH_SETTINGS_NAME, WAYPOINT_RESOURCE_KINDS, type WaypointResourceKind } from '@ambit/api/waypoint';
import { type Watch, Watched } from '@ambit/core/watch';
import type { ServiceKey } from '@ambit/model/address';
import { decodeResource, type ResourceValues } from './decode/decode.ts';
import type { Destination } from './destination-policy.ts';
import { DestinationIndex } from './index/destinations.ts';
import { PolicyIndexes, type WaypointSelf } from './index/policies.ts';
import { RouteIndex } from './index/routes.ts';
import { MAX_JOINED } from './limits.ts';
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from './mesh-settings.ts';
import type { PortConfig, Snapshot } from './snapshot.ts';

export interface ResourceUpsert {
  /** Of the xDS resource. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** A resource that could not be read: NACKed, and refusing what it would have applied to. */
export interface Rejection {
  readonly kind: WaypointResourceKind;
  readonly name: string;
  /** What is wrong with it, in words. */
  readonly problem: string;
}

/** What a batch touched. */
export interface ResourceChange {
  readonly version: number;
  readonly kinds: ReadonlySet<WaypointResourceKind>;
  /** Services of which a `PortConfig` or a `Destination` may be another one now; `all`: any may be. */
  readonly services: ReadonlySet<ServiceKey> | 'all';
}

/** What one batch has touched so far. */
export interface Touched {
  /** Every `PortConfig` may be another one. */
  all: boolean;
  /** Services whose `PortConfig`s may be. */
  readonly services: Set<ServiceKey>;
  /** Services whose `Destination`s may be. */
  readonly destinations: Set<ServiceKey>;
}

function nothingTouched(): Touched {
  return { all: false, services: new Set(), destinations: new Set() };
}

export class ResourceStore implements Snapshot {
  readonly #values: { readonly [Kind in WaypointResourceKind]: Map<string, ResourceValues[Kind]> } = {
    MeshSettings: new Map(),
    HttpRoute: new Map(),
    StreamRoute: new Map(),
    DestinationPolicy: new Map(),
    AuthorizationPolicy: new Map(),
    RequestAuthentication: new Map(),
    Telemetry: new Map(),
  };
  readonly #arrived = new Set<WaypointResourceKind>();
  readonly #routes = new RouteIndex();
  readonly #destinations: DestinationIndex;
  readonly #policies: PolicyIndexes;
  readonly #configs = new Map<ServiceKey, Map<number, PortConfig>>();
  #workloads: PortConfig | undefined;
  #configCount = 0;
  readonly #changes = new Watched<ResourceChange>({ version: 0, kinds: new Set(), services: new Set() });

  /** @param self - This waypoint: what policies are attached to. */
  constructor(self: WaypointSelf) {
    const rootNamespace = () => this.settings.rootNamespace;
    this.#policies = new PolicyIndexes(self, rootNamespace);
    this.#destinations = new DestinationIndex(self.namespace, rootNamespace);
  }

  get version(): number {
    return this.#changes.value.version;
  }

  /** The last batch; listeners are called after each, when all of it can be seen. */
  get changes(): Watch<ResourceChange> {
    return this.#changes;
  }

  get snapshot(): Snapshot {
    return this;
  }

  get complete(): boolean {
    return (
      WAYPOINT_RESOURCE_KINDS.every((kind) => this.#arrived.has(kind)) &&
      this.#values.MeshSettings.has(MESH_SETTINGS_NAME)
    );
  }

  get settings(): MeshSettings {
    return this.#values.MeshSettings.get(MESH_SETTINGS_NAME) ?? DEFAULT_MESH_SETTINGS;
  }

  /** Applies one response of the control plane whole. Removals come first. */
  apply<Kind extends WaypointResourceKind>(
    kind: Kind,
    upserts: readonly ResourceUpsert[],
    removed: readonly string[],
  ): readonly Rejection[] {
    const touched = nothingTouched();
    const values: Map<string, ResourceValues[Kind]> = this.#values[kind];
    const rejections: Rejection[] = [];
    for (const name of removed) this.#replace(kind, name, undefined, touched);
    for (const { name, bytes } of upserts) {
      const decoded = decodeResource(kind, name, bytes, values.get(name));
      if (decoded.kind === 'value') {
        this.#replace(kind, name, decoded.value, touched);
        continue;
      }
      rejections.push({ kind, name, problem: decoded.problem });
      if (decoded.refusing) this.#replace(kind, name, decoded.refusing, touched);
    }
    this.#arrived.add(kind);
    this.#forget(touched);
    const services = touched.all ? 'all' : touched.services.union(touched.destinations);
    this.#changes.set({ version: this.version + 1, kinds: new Set<WaypointResourceKind>([kind]), services });
    return rejections;
  }

  servicePort(service: ServiceKey, port: number): PortConfig {
    const known = this.#configs.get(service)?.get(port);
    if (known) return known;
    if (this.#configCount >= MAX_JOINED) {
      this.#forget({ ...nothingTouched(), all: true });
      this.#routes.forgetTables();
    }
    const config: PortConfig = {
      http: this.#routes.table(service, port),
      streams: this.#routes.streams(service, port),
      ...this.#policies.for(service),
    };
    const ports = this.#configs.get(service) ?? new Map<number, PortConfig>();
    this.#configs.set(service, ports.set(port, config));
    this.#configCount += 1;
    return config;
  }

  workloads(): PortConfig {
    this.#workloads ??= {
      http: this.#routes.noTable,
      streams: [],
      ...this.#policies.for(undefined),
    };
    return this.#workloads;
  }

  destination(service: ServiceKey, port: number, subset: string): Destination {
    return this.#destinations.for(service, port, subset);
  }

  /** Every resource of a kind, for dumps. */
  values<Kind extends WaypointResourceKind>(kind: Kind): Iterable<ResourceValues[Kind]> {
    return this.#values[kind].values();
  }

  #replace<Kind extends WaypointResourceKind>(
    kind: Kind,
    name: string,
    value: ResourceValues[Kind] | undefined,
    touched: Touched,
  ): void {
    const values: Map<string, ResourceValues[Kind]> = this.#values[kind];
    const held = values.get(name);
    if (value === undefined) values.delete(name);
    else values.set(name, value);
    this.#reindex(kind, held, value, touched);
  }

  #reindex<Kind extends WaypointResourceKind>(
    kind: Kind,
    held: ResourceValues[Kind] | undefined,
    value: ResourceValues[Kind] | undefined,
    touched: Touched,
  ): void {
    const indexes: { readonly [K in WaypointResourceKind]: Reindex<ResourceValues[K]> } = {
      MeshSettings: () => {
        this.#destinations.clear();
        touched.all = true;
      },
      HttpRoute: (old, now) => this.#routes.replaceHttp(old, now, touched),
      StreamRoute: (old, now) => this.#routes.replaceStream(old, now, touched),
      DestinationPolicy: (old, now) => this.#destinations.replace(old, now, touched),
      AuthorizationPolicy: (old, now) => this.#policies.authorization.replace(old, now, touched),
      RequestAuthentication: (old, now) => this.#policies.authentication.replace(old, now, touched),
      Telemetry: (old, now) => this.#policies.telemetry.replace(old, now, touched),
    };
    const reindex: Reindex<ResourceValues[Kind]> = indexes[kind];
    reindex(held, value);
  }

  #forget({ all, services }: Touched): void {
    if (all) {
      this.#configs.clear();
      this.#workloads = undefined;
      this.#configCount = 0;
      return;
    }
    for (const service of services) {
      this.#configCount -= this.#configs.get(service)?.size ?? 0;
      this.#configs.delete(service);
    }
  }
}

type Reindex<Value> = (held: Value | undefined, value: Value | undefined) => void;

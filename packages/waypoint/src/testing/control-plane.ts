/** For tests: a control plane in this process that tells a waypoint of workloads, services and its own resources. */
import {
  createWaypointResource,
  encodeWaypointResource,
  MESH_SETTINGS_NAME,
  WAYPOINT_RESOURCE_KINDS,
  type WaypointFields,
  type WaypointResourceKind,
  type WaypointResources,
  waypointTypeUrl,
} from '@ambit/api/waypoint';
import {
  ADDRESS_TYPE_URL,
  createService,
  createWorkload,
  encodeAddress,
  type Service,
  type Workload,
} from '@ambit/api/workload';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { DeltaXdsServer } from '@ambit/xds/server';
import { MemoryFeed } from '@ambit/xds/testing/memory-feed';
import { Server, ServerCredentials } from '@grpc/grpc-js';

/** As Istio's are when nobody changed them. */
export const MESH_SETTINGS: WaypointFields<WaypointResources['MeshSettings']> = {
  trustDomain: 'cluster.local',
  rootNamespace: 'istio-system',
  extensionProviders: [{ name: 'prometheus', kind: { $case: 'prometheus', value: true } }],
  defaultMetricsProviders: ['prometheus'],
};

export class ControlPlane implements Disposable {
  readonly #server = new Server();
  readonly #addresses = new MemoryFeed(ADDRESS_TYPE_URL);
  readonly #own: ReadonlyMap<WaypointResourceKind, MemoryFeed>;
  readonly #xds: DeltaXdsServer;
  #port = 0;

  constructor() {
    this.#own = new Map(WAYPOINT_RESOURCE_KINDS.map((kind) => [kind, new MemoryFeed(waypointTypeUrl(kind))]));
    this.#xds = new DeltaXdsServer({
      feeds: [this.#addresses, ...this.#own.values()],
      authenticate: () => Promise.resolve('waypoint'),
      clock: systemClock,
      log: silentLogger,
    });
    this.#xds.addTo(this.#server);
    this.set('MeshSettings', MESH_SETTINGS_NAME, MESH_SETTINGS);
  }

  async listen(): Promise<void> {
    this.#port = await new Promise<number>((resolve, reject) =>
      this.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      ),
    );
  }

  get address(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  workload(fields: Partial<Workload>): void {
    const value = createWorkload(fields);
    this.#addresses.set({ [value.uid]: encodeAddress({ type: { $case: 'workload', value } }) });
  }

  service(fields: Partial<Service>): void {
    const value = createService(fields);
    const key = `${value.namespace}/${value.hostname}`;
    this.#addresses.set({ [key]: encodeAddress({ type: { $case: 'service', value } }) });
  }

  removeAddress(name: string): void {
    this.#addresses.remove(name);
  }

  set<Kind extends WaypointResourceKind>(
    kind: Kind,
    name: string,
    fields: WaypointFields<WaypointResources[Kind]>,
  ): void {
    const value = encodeWaypointResource(kind, createWaypointResource(kind, fields));
    this.#own.get(kind)?.set({ [name]: value });
  }

  /** Bytes that are no such resource. */
  setBroken(kind: WaypointResourceKind, name: string): void {
    this.#own.get(kind)?.set({ [name]: Uint8Array.of(0xff, 0xff, 0xff) });
  }

  remove(kind: WaypointResourceKind, name: string): void {
    this.#own.get(kind)?.remove(name);
  }

  [Symbol.dispose](): void {
    this.#xds[Symbol.dispose]();
    this.#server.forceShutdown();
  }
}

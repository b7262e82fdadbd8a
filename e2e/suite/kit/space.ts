/** A namespace of a suite's own: what is put there, waited for, enrolled, and in the end deleted with everything in it. */
import type { KubeObject } from '@ambit/kube/resource';
import { namespaces, type Pod, pods } from '@ambit/kube/resources/core';
import type { Cluster } from './cluster.ts';
import { EchoPod } from './echo-pod.ts';
import { isReady, Mesh } from './mesh.ts';
import { type EchoOptions, echoPod, MODE_LABEL, REDIRECTION_ANNOTATION, service } from './objects.ts';
import { eventually, type Patience, until } from './wait.ts';

const START: Patience = { timeoutMs: 150_000 };
const DELETION: Patience = { timeoutMs: 240_000, everyMs: 500 };

export const isEnrolled = ({ metadata }: Pod) => metadata.annotations?.[REDIRECTION_ANNOTATION] === 'enabled';

export type EchoHere = Omit<EchoOptions, 'namespace'>;

export class Space {
  readonly cluster: Cluster;
  readonly name: string;

  constructor(cluster: Cluster, name: string) {
    this.cluster = cluster;
    this.name = name;
  }

  /** Puts the application up as bare pods, each behind a Service of its name; resolves when all are ready. */
  async run(...all: readonly EchoHere[]): Promise<readonly EchoPod[]> {
    const options = all.map((one) => ({ ...one, namespace: this.name }));
    await this.cluster.apply(
      ...options
        .filter(({ hostNetwork }) => hostNetwork !== true)
        .map(({ name }) => service(this.name, name)),
      ...options.map((one) => echoPod(this.cluster.file.images, one)),
    );
    return await Promise.all(options.map(({ name }) => this.ready(name)));
  }

  async pod(name: string): Promise<Pod> {
    return await this.cluster.client.get(pods, { namespace: this.name, name });
  }

  async podsOf(app: string): Promise<readonly Pod[]> {
    const { items } = await this.cluster.client.list(pods, {
      namespace: this.name,
      labelSelector: `app=${app}`,
    });
    return items;
  }

  async ready(name: string, patience: Patience = START): Promise<EchoPod> {
    const pod = await eventually(`${this.name}/${name} ready`, () => this.pod(name), isReady, patience);
    return new EchoPod(this.cluster, pod);
  }

  /** Resolves when so many pods of a Deployment or StatefulSet are ready, and no other of it is left. */
  async allReady(app: string, replicas: number, patience: Patience = START): Promise<readonly EchoPod[]> {
    const found = await eventually(
      `${replicas} pods of ${this.name}/${app} ready`,
      async () => {
        const all = await this.podsOf(app);
        return all.length === replicas && all.every(isReady) ? all : [];
      },
      (all) => all.length > 0,
      patience,
    );
    return found.map((pod) => new EchoPod(this.cluster, pod));
  }

  /** Waits until the agent says so of these pods, and the proxies of all nodes have heard of it. */
  async enrolled(wanted: boolean, ...names: readonly string[]): Promise<void> {
    for (const name of names)
      await until(
        `${this.name}/${name} ${wanted ? 'enrolled' : 'not enrolled'}`,
        async () => isEnrolled(await this.pod(name)) === wanted,
        START,
      );
    await new Mesh(this.cluster).reachesByTunnel(wanted, this.name, names);
  }

  /** Takes every pod of this namespace into the mesh, or out of it. */
  async label(mode: 'ambient' | null): Promise<void> {
    await this.cluster.client.patch(
      namespaces,
      { name: this.name },
      { type: 'merge', body: { metadata: { labels: { [MODE_LABEL]: mode } } } },
    );
  }

  async apply(...objects: readonly KubeObject[]): Promise<void> {
    await this.cluster.apply(...objects);
  }

  async remove(...objects: readonly KubeObject[]): Promise<void> {
    await this.cluster.remove(...objects);
  }

  /** Applies `objects` for the time of `during`. */
  async having(objects: readonly KubeObject[], during: () => Promise<void>): Promise<void> {
    await this.apply(...objects);
    try {
      await during();
    } finally {
      await this.remove(...objects);
    }
  }

  /** The name by which anyone in the cluster finds a Service of this namespace. */
  host(name: string): string {
    return `${name}.${this.name}.svc.cluster.local`;
  }

  async delete(): Promise<void> {
    const { client } = this.cluster;
    if ((await client.find(namespaces, { name: this.name })) === undefined) return;
    await client.delete(namespaces, { name: this.name });
    await until(
      `namespace ${this.name} gone`,
      async () => (await client.find(namespaces, { name: this.name })) === undefined,
      DELETION,
    );
  }
}

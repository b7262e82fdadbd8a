/**
 * What every suite begins with: the cluster, the mesh in it, and namespaces that end with the suite.
 *
 *     const suite = useSuite('traffic');
 *     beforeAll(async () => { const space = await suite.space('mesh', 'ambient'); … });
 *
 * `useSuite` stands at the top of a test file: it registers the hooks that open and clean up.
 */
import { afterAll, beforeAll, jest } from '@jest/globals';
import type { KubeObject } from '@ambit/kube/resource';
import { Cluster } from './cluster.ts';
import type { EchoPod } from './echo-pod.ts';
import { Mesh } from './mesh.ts';
import { MODE_LABEL } from './objects.ts';
import { Space } from './space.ts';

/** For what a cluster may have to start, on a machine with two cores and other work. */
const TEST_TIMEOUT_MS = 300_000;

export class Suite {
  readonly #name: string;
  readonly #spaces: Space[] = [];
  readonly #undo: (() => Promise<void>)[] = [];
  #cluster: Cluster | undefined;
  #nodes: readonly [string, string, ...string[]] | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  get cluster(): Cluster {
    if (!this.#cluster) throw new Error('the cluster is there from beforeAll on');
    return this.#cluster;
  }

  get mesh(): Mesh {
    return new Mesh(this.cluster);
  }

  /** Two nodes that pods run on; `[0]` and `[1]` always differ. */
  get nodes(): readonly [string, string, ...string[]] {
    if (!this.#nodes) throw new Error('the nodes are known from beforeAll on');
    return this.#nodes;
  }

  /** A namespace that is deleted when the suite ends. */
  async space(purpose: string, mode?: 'ambient'): Promise<Space> {
    const name = `e2e-${this.#name}-${purpose}-${Math.random().toString(36).slice(2, 6)}`;
    const labels = { 'ambit.e2e/suite': this.#name, ...(mode && { [MODE_LABEL]: mode }) };
    await this.cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
    const space = new Space(this.cluster, name);
    this.#spaces.push(space);
    return space;
  }

  /** Puts up two applications, `client` on the first node and `server` on the second; resolves when both are ready. */
  async pair(space: Space): Promise<{ readonly client: EchoPod; readonly server: EchoPod }> {
    const [first, second] = this.nodes;
    const [client, server] = (await space.run(
      { name: 'client', node: first },
      { name: 'server', node: second },
    )) as [EchoPod, EchoPod];
    return { client, server };
  }

  /** Objects outside the suite's namespaces, removed when it ends. */
  async applyForNow(...objects: readonly KubeObject[]): Promise<void> {
    this.atEnd(() => this.cluster.remove(...objects));
    await this.cluster.apply(...objects);
  }

  /** What must be put back, whatever happens; the last first, before namespaces are deleted. */
  atEnd(undo: () => Promise<void>): void {
    this.#undo.push(undo);
  }

  async open(): Promise<void> {
    this.#cluster = await Cluster.open();
    this.#nodes = await this.#cluster.nodeNames();
  }

  async close(): Promise<void> {
    const failures: unknown[] = [];
    const attempt = (act: () => Promise<void>) => act().catch((error: unknown) => void failures.push(error));
    for (const undo of this.#undo.toReversed()) await attempt(undo);
    await Promise.all(this.#spaces.map((space) => attempt(() => space.delete())));
    this.#cluster?.[Symbol.dispose]();
    if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('; '));
  }
}

export function useSuite(name: string): Suite {
  jest.setTimeout(TEST_TIMEOUT_MS);
  const suite = new Suite(name);
  beforeAll(() => suite.open());
  afterAll(() => suite.close());
  return suite;
}

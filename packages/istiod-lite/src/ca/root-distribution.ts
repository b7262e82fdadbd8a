/**
 * The mesh's root in every namespace, as the ConfigMap that pods mount: made, corrected, and made again when deleted.
 *
 * One replica does it at a time: while a root is rotated, two would for a while write each other's work away. Some namespaces
 * of Kubernetes' own are left out, as Istio leaves them out; kube-system is not one of them.
 */
import type { Collection } from '@ambit/collections/collection';
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { Watch } from '@ambit/core/watch';
import type { KubeClient } from '@ambit/kube/client';
import { isConflict, isNotFound } from '@ambit/kube/errors';
import { isEnding } from '@ambit/kube/resource';
import { type ConfigMap, configMaps, type Namespace } from '@ambit/kube/resources/core';
import { watchCollection } from '@ambit/kube/watch-collection';
import { KeyedWorker } from '../keyed-worker.ts';

export interface RootDistributionOptions {
  readonly client: KubeClient;
  readonly namespaces: Collection<string, Namespace>;
  /** `istio-ca-root-cert`. */
  readonly name: string;
  /** All roots, PEM. */
  readonly rootsPem: () => string;
  /** Turns when the roots are others. */
  readonly changed: Watch<number>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const KEY = 'root-cert.pem';
const LABELS = { 'istio.io/config': 'true', 'app.kubernetes.io/part-of': 'ambit' };
const LEFT_OUT: ReadonlySet<string> = new Set(['kube-public', 'kube-node-lease', 'local-path-storage']);

export class RootDistribution implements AsyncDisposable {
  readonly #options: RootDistributionOptions;
  readonly #existing: Collection<string, ConfigMap>;
  readonly #worker: KeyedWorker;
  readonly #scope = new AsyncDisposableStack();

  constructor(options: RootDistributionOptions) {
    const { client, namespaces, name, clock, random } = options;
    const log = options.log.scope('roots');
    this.#options = options;
    const selection = {
      fieldSelector: `metadata.name=${name}`,
      name: 'root config maps',
      clock,
      random,
      log,
    };
    this.#existing = this.#scope.use(watchCollection(client, configMaps, selection));
    this.#worker = this.#scope.use(
      new KeyedWorker({
        name: 'root distribution',
        work: (key, signal) => this.#write(key, signal),
        clock,
        random,
        log,
      }),
    );
    this.#scope.use(namespaces.subscribe((events) => this.#look(events.map(({ key }) => key))));
    this.#scope.use(
      this.#existing.subscribe((events) => this.#look(events.map(({ key }) => key.split('/')[0] ?? ''))),
    );
    this.#scope.use(this.#existing.synced.subscribe(() => this.all()));
    this.#scope.use(namespaces.synced.subscribe(() => this.all()));
    this.#scope.use(options.changed.subscribe(() => this.all()));
    this.all();
  }

  /** Looks at every namespace. */
  all(): void {
    this.#look(this.#options.namespaces.keys());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.disposeAsync();
  }

  #look(namespaces: Iterable<string>): void {
    if (!this.#existing.synced.value) return;
    for (const namespace of namespaces) if (this.#isWrong(namespace)) this.#worker.add(namespace);
  }

  #isWrong(namespace: string): boolean {
    const found = this.#options.namespaces.get(namespace);
    if (!found || LEFT_OUT.has(namespace) || takesNoMore(found)) return false;
    const existing = this.#existing.get(`${namespace}/${this.#options.name}`);
    return existing?.data?.[KEY] !== this.#options.rootsPem();
  }

  async #write(namespace: string, signal: AbortSignal): Promise<void> {
    const { client, name, rootsPem } = this.#options;
    if (!this.#isWrong(namespace)) return;
    const metadata = { namespace, name, labels: LABELS };
    const wanted = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { [KEY]: rootsPem() } };
    try {
      if (this.#existing.has(`${namespace}/${name}`)) {
        const body = { metadata: { labels: LABELS }, data: wanted.data };
        await client.patch(configMaps, { namespace, name }, { type: 'merge', body }, {}, signal);
      } else {
        await client.create(configMaps, wanted, {}, signal);
      }
    } catch (error) {
      // Made or deleted meanwhile: the watch tells, and we look again. A namespace may have gone as well.
      const gone = isNotFound(error) && !this.#options.namespaces.has(namespace);
      if (!gone && !isConflict(error)) throw error;
    }
  }
}

function takesNoMore(namespace: Namespace): boolean {
  return isEnding(namespace) || namespace.status?.phase === 'Terminating';
}

/**
 * The ztunnels of a cluster: which pods they are, and asking one or all of them.
 *
 * They are found as istioctl finds them: label `app=ztunnel`, or, where that label is missing, by their name.
 */
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { KubeClient } from '@ambit/kube/client';
import { type Pod, pods } from '@ambit/kube/resources/core';
import { type ConfigDump, readConfigDump } from './config-dump.ts';
import { NotFoundError, ProxyError } from './errors.ts';
import { MAX_PROXIES_ASKED_AT_ONCE } from './limits.ts';
import { isReady } from './pod-ready.ts';
import { type PodDialer, proxyPage } from './proxy-page.ts';

export interface Ztunnel {
  readonly namespace: string;
  readonly pod: string;
  readonly node: string;
  readonly ready: boolean;
}

/** What one of several proxies said, or why it said nothing. */
export type Outcome<T> =
  | { readonly ztunnel: Ztunnel; readonly answer: T }
  | { readonly ztunnel: Ztunnel; readonly problem: string };

export interface ZtunnelsOptions {
  readonly client: KubeClient;
  readonly dial: PodDialer;
  readonly meshNamespace: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export class Ztunnels {
  readonly #options: ZtunnelsOptions;
  #known: Promise<readonly Ztunnel[]> | undefined;

  constructor(options: ZtunnelsOptions) {
    this.#options = options;
  }

  /** All of them, by node. */
  all(): Promise<readonly Ztunnel[]> {
    this.#known ??= this.#list();
    return this.#known;
  }

  /** @throws {@link NotFoundError} if that node has none. */
  async ofNode(node: string): Promise<Ztunnel> {
    const all = await this.all();
    const found =
      all.find((ztunnel) => ztunnel.node === node && ztunnel.ready) ?? all.find((one) => one.node === node);
    if (!found) throw new NotFoundError(`no ztunnel runs on node ${node}`);
    return found;
  }

  /** The given node's, else a ready one. */
  async one(node: string | undefined): Promise<Ztunnel> {
    if (node !== undefined) return await this.ofNode(node);
    const all = await this.all();
    const found = all.find(({ ready }) => ready) ?? all[0];
    if (!found) throw this.#none();
    return found;
  }

  /** The given node's alone, else all; at least one. */
  async some(node: string | undefined): Promise<readonly Ztunnel[]> {
    if (node !== undefined) return [await this.ofNode(node)];
    const all = await this.all();
    if (all.length === 0) throw this.#none();
    return all;
  }

  /** JSON of an admin page; `undefined` if this proxy has no such page. */
  async page(ztunnel: Ztunnel, path: string): Promise<unknown> {
    const { namespace, pod: name } = ztunnel;
    return await proxyPage(this.#options, 'ztunnel', { namespace, name }, path);
  }

  async configDump(ztunnel: Ztunnel): Promise<ConfigDump> {
    const dump = await this.page(ztunnel, '/config_dump');
    if (dump === undefined)
      throw new ProxyError(`ztunnel ${ztunnel.namespace}/${ztunnel.pod} has no /config_dump`);
    return readConfigDump(dump);
  }

  /** Asks several, a few at a time; one that fails spoils nothing for the others. */
  async each<T>(
    ztunnels: readonly Ztunnel[],
    ask: (ztunnel: Ztunnel) => Promise<T>,
  ): Promise<readonly Outcome<T>[]> {
    const outcomes = new Map<Ztunnel, Outcome<T>>();
    const waiting = [...ztunnels];
    const work = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const ztunnel = next;
        outcomes.set(
          ztunnel,
          await ask(ztunnel).then(
            (answer) => ({ ztunnel, answer }),
            (error: unknown) => ({ ztunnel, problem: messageOf(error) }),
          ),
        );
      }
    };
    await Promise.all(Array.from({ length: MAX_PROXIES_ASKED_AT_ONCE }, work));
    return ztunnels.flatMap((ztunnel) => outcomes.get(ztunnel) ?? []);
  }

  #none(): NotFoundError {
    return new NotFoundError(
      `no ztunnel runs in namespace ${this.#options.meshNamespace}; is the mesh installed (or elsewhere: --mesh-namespace)?`,
    );
  }

  async #list(): Promise<readonly Ztunnel[]> {
    const { client, meshNamespace: namespace, signal } = this.#options;
    const { items } = await client.list(pods, { namespace }, signal);
    return items
      .filter(isZtunnel)
      .map(ztunnelOf)
      .sort((a, b) => (a.node < b.node ? -1 : Number(a.node > b.node)));
  }
}

function isZtunnel({ metadata, status }: Pod): boolean {
  const app = metadata.labels?.['app'];
  const named = app === undefined ? metadata.name.startsWith('ztunnel') : app === 'ztunnel';
  return named && status?.phase === 'Running' && metadata.deletionTimestamp === undefined;
}

function ztunnelOf(pod: Pod): Ztunnel {
  const { metadata, spec } = pod;
  return {
    namespace: metadata.namespace ?? '',
    pod: metadata.name,
    node: spec?.nodeName ?? '',
    ready: isReady(pod),
  };
}

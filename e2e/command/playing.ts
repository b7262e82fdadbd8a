/** A cluster of the embedded API in which a test plays the controllers: workloads become ready, or do not. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '@ambit/cli/run';
import { readManifest } from '@ambit/cli/install/manifest';
import { shipped } from '@ambit/cli/install/shipped';
import type { PodDialer } from '@ambit/cli/proxy-page';
import { type Clock, systemClock } from '@ambit/core/clock';
import { type EmbeddedApi, startEmbeddedApi } from '@ambit/embedded/server';
import { type Answer, type Requester, requester } from '@ambit/embedded/testing/request';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  /** What the user answers; default: nobody is there. */
  readonly answer?: boolean;
  readonly version?: string;
  readonly manifests?: string;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  /** Ports of pods' loopback. */
  readonly dial?: PodDialer;
  /** Called with each line of standard output. */
  readonly onPrint?: (text: string) => void;
}

const MERGE = 'application/merge-patch+json';
const ON_TWO_NODES = {
  desiredNumberScheduled: 2,
  currentNumberScheduled: 2,
  updatedNumberScheduled: 2,
  numberMisscheduled: 0,
  numberReady: 2,
};
const ON_NO_NODE = {
  desiredNumberScheduled: 2,
  currentNumberScheduled: 0,
  numberMisscheduled: 0,
  numberReady: 0,
};
const WORKLOADS = [
  ['deployments', 'istiod', { replicas: 1, updatedReplicas: 1, readyReplicas: 1 }, {}],
  ['daemonsets', 'istio-cni-node', ON_TWO_NODES, ON_NO_NODE],
  ['daemonsets', 'ztunnel', ON_TWO_NODES, ON_NO_NODE],
] as const;

export class PlayedCluster implements AsyncDisposable {
  readonly request: Requester;
  readonly #api: EmbeddedApi;
  readonly #folder: string;
  /** Names of workloads that do not become ready. */
  readonly stuck = new Set<string>();

  private constructor(api: EmbeddedApi, folder: string) {
    this.#api = api;
    this.#folder = folder;
    this.request = requester(api, api.adminToken);
  }

  static async start(): Promise<PlayedCluster> {
    const folder = await mkdtemp(join(tmpdir(), 'ambit-command-'));
    const api = await startEmbeddedApi({ environment: {}, kubeconfigPath: join(folder, 'kubeconfig') });
    return new PlayedCluster(api, folder);
  }

  async run(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    const out: string[] = [];
    const err: string[] = [];
    const done = new AbortController();
    const playing = this.#play(done.signal);
    const given = await shipped();
    const code = await run(args, {
      env: { KUBECONFIG: this.#api.kubeconfigPath },
      clock: options.clock ?? systemClock,
      signal: options.signal ?? new AbortController().signal,
      ask: () => Promise.resolve(options.answer),
      print: (text) => {
        out.push(text);
        options.onPrint?.(text);
      },
      printError: (text) => err.push(text),
      ...(options.dial && { dial: options.dial }),
      shipped: () =>
        Promise.resolve({
          version: options.version ?? given.version,
          manifests: withoutConditions(options.manifests ?? given.manifests),
        }),
    });
    done.abort();
    await playing;
    return { code, out: out.join(''), err: err.join('') };
  }

  /** Every object of the kinds that an installation has, by path, without what changes by itself. */
  async snapshot(): Promise<ReadonlyMap<string, string>> {
    const kinds = [
      '/api/v1/namespaces',
      '/api/v1/configmaps',
      '/api/v1/secrets',
      '/api/v1/services',
      '/api/v1/serviceaccounts',
      '/apis/apps/v1/deployments',
      '/apis/apps/v1/daemonsets',
      '/apis/policy/v1/poddisruptionbudgets',
      '/apis/rbac.authorization.k8s.io/v1/clusterroles',
      '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
      '/apis/rbac.authorization.k8s.io/v1/roles',
      '/apis/rbac.authorization.k8s.io/v1/rolebindings',
      '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations',
      '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
    ];
    const found = new Map<string, string>();
    for (const path of kinds) {
      const { body } = await this.request('GET', path);
      for (const item of body['items'] as unknown as readonly Item[]) {
        const { namespace = '', name, resourceVersion } = item.metadata;
        found.set(`${path} ${namespace}/${name}`, resourceVersion);
      }
    }
    return found;
  }

  async get(path: string): Promise<Answer> {
    return await this.request('GET', path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#api.stop();
    await rm(this.#folder, { recursive: true });
  }

  /** Writes the status that controllers would write, again and again. */
  async #play(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      for (const [plural, name, ready, stuck] of WORKLOADS) {
        const path = `/apis/apps/v1/namespaces/istio-system/${plural}/${name}`;
        const { status: code, body } = await this.request('GET', path);
        if (code !== 200) continue;
        const { metadata } = body as unknown as Item;
        const wanted = { observedGeneration: metadata.generation, ...(this.stuck.has(name) ? stuck : ready) };
        // One that changes nothing gets no new version.
        const answer = await this.request('PATCH', `${path}/status`, { status: wanted }, MERGE);
        if (answer.status !== 200 && answer.status !== 404)
          throw new Error(`a status was refused: ${answer.text}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** The embedded API evaluates no CEL, and refuses webhooks that depend on it. */
function withoutConditions(manifests: string): string {
  return readManifest(manifests)
    .map((object) => {
      const text = JSON.stringify(object, (key, value: unknown) =>
        key === 'matchConditions' ? undefined : value,
      );
      return `---\n${text}\n`;
    })
    .join('');
}

interface Item {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly resourceVersion: string;
    readonly generation?: number;
  };
}

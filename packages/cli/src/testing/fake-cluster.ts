/** A cluster for the command's tests: a Kubernetes API with objects, and admin pages of its proxies. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@ambit/core/clock';
import type { KubeObject } from '@ambit/kube/resource';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import { run } from '../run.ts';

/** Answers of one proxy by path with its query, or by path alone; a number is a status without a body. */
export type Pages = Readonly<Record<string, unknown>>;

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export class FakeCluster implements AsyncDisposable {
  readonly api = new FakeApiServer();
  /** Admin requests in their order: `ztunnel-1 /config_dump`. */
  readonly asked: string[] = [];
  readonly #pages = new Map<string, Pages>();
  readonly #admin: Server[] = [];
  #url = '';
  #folder: string | undefined;

  static async start(): Promise<FakeCluster> {
    const cluster = new FakeCluster();
    cluster.#url = await cluster.api.start();
    return cluster;
  }

  pod(namespace: string, name: string, over: Record<string, unknown> = {}): void {
    const {
      labels,
      annotations,
      node = 'node-1',
      ip = '10.0.0.1',
      ports = [],
      phase = 'Running',
      ...spec
    } = over;
    const pod = {
      metadata: { namespace, name, labels, annotations },
      spec: { nodeName: node, containers: [{ name: 'app', ports }], ...spec },
      status: {
        phase,
        podIP: ip,
        podIPs: [{ ip }],
        conditions: [{ type: 'Ready', status: phase === 'Running' ? 'True' : 'False' }],
      },
    };
    this.api.put('/api/v1/pods', pod as unknown as KubeObject);
  }

  /** A workload of the mesh, with the version that its installer gave it. */
  workload(plural: 'deployments' | 'daemonsets', name: string, version: string): void {
    const labels = { 'app.kubernetes.io/part-of': 'ambit', 'app.kubernetes.io/version': version };
    this.api.put(`/apis/apps/v1/${plural}`, { metadata: { namespace: 'istio-system', name, labels } });
  }

  namespace(name: string, labels: Record<string, string> = {}): void {
    this.api.put('/api/v1/namespaces', { metadata: { name, labels } });
  }

  service(namespace: string, name: string, clusterIP: string, ports: readonly number[]): void {
    const spec = {
      clusterIP,
      clusterIPs: [clusterIP],
      ports: ports.map((port) => ({ name: `p${port}`, port })),
    };
    this.api.put('/api/v1/services', { metadata: { namespace, name }, spec } as KubeObject);
  }

  endpoint(namespace: string, service: string, pod: string, port: number, target: number): void {
    const metadata = { namespace, name: `${service}-1`, labels: { 'kubernetes.io/service-name': service } };
    const endpoints = [
      { addresses: ['10.0.0.9'], conditions: { ready: true }, targetRef: { kind: 'Pod', name: pod } },
    ];
    const slice = { metadata, addressType: 'IPv4', endpoints, ports: [{ name: `p${port}`, port: target }] };
    this.api.put('/apis/discovery.k8s.io/v1/endpointslices', slice as KubeObject);
  }

  node(name: string): void {
    this.api.put('/api/v1/nodes', { metadata: { name } });
  }

  /** A ztunnel on `node`, with its pod and its admin pages. `undefined` pages: nobody listens. */
  ztunnel(name: string, node: string, pages: Pages | undefined): void {
    this.pod('istio-system', name, { node, labels: { app: 'ztunnel' } });
    if (pages) this.#pages.set(name, pages);
  }

  /** A replica of the control plane, with its debug pages. */
  istiod(name: string, pages: Pages): void {
    this.pod('istio-system', name, { labels: { app: 'istiod' } });
    this.#pages.set(name, pages);
  }

  /** A pod of a waypoint, with its admin pages. */
  waypoint(namespace: string, name: string, pages: Pages, labels: Record<string, string> = {}): void {
    this.pod(namespace, name, {
      labels: { 'istio.io/dataplane-mode': 'none', ...labels },
      ip: '10.0.2.9',
      node: 'node-2',
    });
    this.#pages.set(name, pages);
  }

  async run(...args: readonly string[]): Promise<Ran> {
    const out: string[] = [];
    const err: string[] = [];
    const code = await run(args, {
      env: { KUBERNETES_SERVICE_HOST: undefined, KUBECONFIG: await this.#kubeconfig() },
      clock: systemClock,
      signal: new AbortController().signal,
      print: (text) => out.push(text),
      printError: (text) => err.push(text),
      dial: async ({ name }) => connect(await this.#adminPort(name), '127.0.0.1'),
    });
    return { code, out: out.join(''), err: err.join('') };
  }

  async #kubeconfig(): Promise<string> {
    this.#folder ??= await mkdtemp(join(tmpdir(), 'ambit-cli-'));
    const path = join(this.#folder, 'config');
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: this.#url } }],
      users: [{ name: 'u', user: {} }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'shop' } }],
      'current-context': 'x',
    };
    await writeFile(path, JSON.stringify(config));
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#admin) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
    await this.api[Symbol.asyncDispose]();
    if (this.#folder) await rm(this.#folder, { recursive: true });
  }

  async #adminPort(name: string): Promise<number> {
    const pages = this.#pages.get(name);
    if (!pages) return 1;
    const server = createServer((request, response) => {
      const url = request.url ?? '';
      this.asked.push(`${name} ${url}`);
      const page = pages[url] ?? pages[url.split('?')[0] ?? ''] ?? 404;
      response.writeHead(typeof page === 'number' ? page : 200);
      response.end(
        typeof page === 'string' ? page : typeof page === 'number' ? 'Not Found\n' : JSON.stringify(page),
      );
    });
    this.#admin.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  }
}

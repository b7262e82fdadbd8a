/** What tests on a running lab share: programs as pods, waiting, and asking. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Pod, pods } from '@ambit/kube/resources/core';
import { applyAll, deleteAll, parseManifests } from '../apply.ts';
import type { Lab } from '../lab.ts';
import type { PodName, PodOutcome } from '../pod-access.ts';
import { isReady } from '../workloads/template.ts';

/** Answers with its own name and the address it was asked from; logs every request. */
const SERVER = `
  const { createServer } = require('node:http');
  createServer((request, response) => {
    console.log('asked', request.url);
    if (request.url === '/exit') process.exit(3);
    response.end(process.env.NAME + ' says hello to ' + request.socket.remoteAddress + '\\n');
  }).listen(8080, '::');
  process.on('SIGTERM', () => process.exit(0));`;

/** Asks again and again, on a new connection each time, and logs a line for each answer. */
const CLIENT = `
  const { get } = require('node:http');
  const [url] = process.argv.slice(1);
  const ask = () => {
    const again = (line) => { console.log(line); setTimeout(ask, 20); };
    get(url, { agent: false, timeout: 20_000 }, (answer) => {
      let text = '';
      answer.on('data', (chunk) => { text += chunk; });
      answer.on('end', () => again(answer.statusCode === 200 ? 'ok' : 'failed ' + answer.statusCode));
      answer.on('error', (error) => again('failed ' + error.message));
    }).on('timeout', function () { this.destroy(new Error('timeout')); })
      .on('error', (error) => again('failed ' + error.message));
  };
  ask();
  process.on('SIGTERM', () => process.exit(0));`;

const ASK = `
  const [url] = process.argv.slice(1);
  require('node:http').get(url, { timeout: 20_000 }, (answer) => answer.pipe(process.stdout))
    .on('timeout', function () { this.destroy(new Error('timeout')); })
    .on('error', (error) => { console.log(error.message); process.exitCode = 1; });`;

export const SHOP = 'shop';

export const namespaceText = (name: string) => `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}}\n`;

/** Everything in JSON is YAML, so scripts need no other quoting. */
export function serverPod(
  name: string,
  node: string | undefined,
  over: object = {},
  namespace = SHOP,
): string {
  const container = {
    name: 'main',
    image: 'none',
    command: [process.execPath, '-e', SERVER],
    env: [{ name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
    ports: [{ name: 'http', containerPort: 8080 }],
    readinessProbe: { httpGet: { path: '/ready', port: 'http' }, periodSeconds: 1 },
  };
  return podText(name, namespace, node, { containers: [container], ...over });
}

export function clientPod(name: string, node: string, url: string): string {
  return podText(name, SHOP, node, {
    containers: [{ name: 'main', image: 'none', command: [process.execPath, '-e', CLIENT, '--', url] }],
  });
}

function podText(name: string, namespace: string, node: string | undefined, spec: object): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: name } },
    spec: { ...(node !== undefined && { nodeName: node }), terminationGracePeriodSeconds: 5, ...spec },
  });
}

export const serviceText = (name: string) =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: SHOP },
    spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
  });

/** The lab's verbs with a test's patience. */
export class LabFixture {
  readonly lab: Lab;
  readonly #signal: AbortSignal;

  constructor(lab: Lab, signal: AbortSignal) {
    this.lab = lab;
    this.#signal = signal;
  }

  async apply(...texts: readonly string[]): Promise<void> {
    await applyAll(this.lab.client, parseManifests(texts.join('\n---\n')), this.#signal);
  }

  async remove(...texts: readonly string[]): Promise<void> {
    await deleteAll(this.lab.client, parseManifests(texts.join('\n---\n')), this.#signal);
  }

  get(name: string, namespace = SHOP): Promise<Pod | undefined> {
    return this.lab.client.find(pods, { name, namespace }, this.#signal);
  }

  ready(name: string, namespace = SHOP): Promise<Pod> {
    return this.eventually(`${name} ready`, async () => {
      const one = await this.get(name, namespace);
      return one && isReady(one) ? one : undefined;
    });
  }

  gone(name: string, namespace = SHOP): Promise<boolean> {
    return this.eventually(`${name} gone`, async () => (await this.get(name, namespace)) === undefined);
  }

  async eventually<T>(what: string, ask: () => Promise<T | undefined | false>): Promise<T> {
    let last: unknown = 'nothing was wrong';
    for (let i = 0; i < 1_200; i++) {
      const value = await ask().catch((error: unknown) => {
        last = error;
        return undefined;
      });
      if (value) return value;
      await sleep(50);
    }
    throw new Error(`never: ${what} (${String(last)})`);
  }

  /** What a pod hears when it asks `url`. */
  ask(from: string, url: string, namespace = SHOP): Promise<PodOutcome> {
    return this.exec({ namespace, name: from }, process.execPath, '-e', ASK, '--', url);
  }

  exec(pod: PodName, ...command: readonly string[]): Promise<PodOutcome> {
    return this.lab.exec(pod, command, this.#signal);
  }

  /** How many of a client pod's requests went well and which did not, so far. */
  tally(name: string): { readonly ok: number; readonly failed: readonly string[] } {
    const lines = this.lab.logsOf({ namespace: SHOP, name }).trim().split('\n');
    const failed = lines.filter((line) => line.startsWith('failed'));
    return { ok: lines.filter((line) => line === 'ok').length, failed };
  }
}

/** The entry of the thread that serves the cluster's DNS. What it knows comes from the lab's own thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { LogRoot } from '@ambit/core/log';
import type { Service } from '@ambit/kube/resources/core';
import { startDnsServer } from './dns-server.ts';
import type { DnsKnowledge, DnsThreadData } from './dns-thread.ts';

if (!parentPort) throw new Error('dns-thread-main.ts is started by the lab, not by hand');
const { netnsFd, ip, ...known } = workerData as DnsThreadData;
let byName: ReadonlyMap<string, Service> = new Map();
let slices: DnsKnowledge['slices'] = [];

function learn(knowledge: DnsKnowledge): void {
  byName = new Map(
    knowledge.services.map((service) => [`${service.metadata.namespace}/${service.metadata.name}`, service]),
  );
  slices = knowledge.slices;
}

learn(known);
parentPort.on('message', learn);
const log = new LogRoot({ filter: { base: 'error', scopes: new Map() }, format: 'plain' }).scope('dns');
await startDnsServer({
  netnsFd,
  ip,
  state: { service: (namespace, name) => byName.get(`${namespace}/${name}`), slices: () => slices },
  log,
});
parentPort.postMessage('serving');

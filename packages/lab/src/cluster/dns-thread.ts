/**
 * The cluster's DNS in a thread of its own, told what there is after each change.
 *
 * The lab's own thread plays API server, controllers and kubelets, and is busy just when pods' programs must not wait: a
 * program resolves two names at a time, so a tenth of a second for each answer is soon seconds for those who stand in line.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Collection } from '@ambit/collections/collection';
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { EndpointSlice, Service } from '@ambit/kube/resources/core';
import { following } from './controllers.ts';
import { Reconciler } from './reconciler.ts';

/** What the thread is told: at first as its data, then as messages. */
export interface DnsKnowledge {
  readonly services: readonly Service[];
  readonly slices: readonly EndpointSlice[];
}

export interface DnsInputs {
  readonly services: Collection<string, Service>;
  readonly endpointSlices: Collection<string, EndpointSlice>;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface DnsThreadData extends DnsKnowledge {
  readonly netnsFd: number;
  readonly ip: string;
}

/** Resolves when it answers. */
export async function startDnsThread(
  { services, endpointSlices, clock, log }: DnsInputs,
  place: { readonly netnsFd: number; readonly ip: string },
): Promise<AsyncDisposable> {
  const knowledge = (): DnsKnowledge => ({
    services: [...services.values()],
    slices: [...endpointSlices.values()],
  });
  const workerData: DnsThreadData = { ...place, ...knowledge() };
  const worker = new Worker(new URL('./dns-thread-main.ts', import.meta.url), { workerData });
  await once(worker, 'message');
  worker.on('error', (error) => log.error('the DNS has ended', { error: messageOf(error) }));
  const telling = following(
    new Reconciler({
      name: 'DNS',
      clock,
      log,
      reconcile: async () => worker.postMessage(knowledge()),
    }),
    [services, endpointSlices],
  );
  return {
    async [Symbol.asyncDispose]() {
      await telling[Symbol.asyncDispose]();
      await worker.terminate();
    },
  };
}

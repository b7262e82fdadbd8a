/** For tests: the surroundings of one request without a connection, in which the test says when what happens. */
import type { RequestHead, ResponseHead, ServerExchange } from '@ambit/http/exchange';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { decideRetry } from '../decide/retry.ts';
import { Admission } from '../exchange/admission.ts';
import type { ExchangeContext } from '../exchange/context.ts';
import type { Destination } from '../resources/destination-policy.ts';
import type { ResourceStore } from '../resources/store.ts';
import { Breakers } from '../upstream/breakers.ts';
import type { Cluster } from '../upstream/cluster.ts';
import { UpstreamEndpoint } from '../upstream/endpoint.ts';
import type { PoolWaiter } from '../upstream/http-pool.ts';

const HEAD: RequestHead = {
  method: 'POST',
  scheme: 'http',
  authority: 'web',
  path: '/',
  version: '1.1',
  fields: [],
  upgrade: undefined,
  expectsContinue: false,
  endsHere: false,
};

/** What a client asked; what is done with it goes into `events`. */
export function exchangeOf(
  head: Partial<RequestHead>,
  events: string[],
  over: Partial<ServerExchange> = {},
): ServerExchange {
  const exchange: Pick<ServerExchange, 'head' | 'respond' | 'write' | 'end' | 'abort' | 'credit'> = {
    head: { ...HEAD, ...head },
    respond: ({ status }: ResponseHead) => void events.push(`respond ${status}`),
    write: () => true,
    end: () => undefined,
    abort: () => void events.push('abort'),
    credit: () => undefined,
    ...over,
  };
  return exchange as ServerExchange;
}

/** A destination of one endpoint, whose connections come from `acquire`. */
export function clusterOf(destination: Destination, acquire: (waiter: PoolWaiter) => void): Cluster {
  const pool = {
    acquire: (waiter: PoolWaiter) => {
      acquire(waiter);
      return { [Symbol.dispose]: () => undefined };
    },
  };
  const endpoint = new UpstreamEndpoint(
    { workload: undefined, to: { ip: '10.0.0.1', port: 80 }, tunnelled: false, identities: [], weight: 1 },
    0,
    { tellsClient: false, makePool: () => pool as never, report: () => undefined },
  );
  const cluster = {
    pending: undefined,
    destination,
    breakers: new Breakers({ connections: 9, pendingRequests: 9, requests: 9, retries: 9 }),
    pick: () => endpoint,
    counts: {},
  };
  return cluster as unknown as Cluster;
}

/** Everything lets everything pass; time stands still. */
export function contextWith(store: ResourceStore, over: object = {}): ExchangeContext {
  return {
    snapshot: () => store.snapshot,
    decisions: { decideRetry },
    policyReport: { decided: () => undefined },
    faults: { tell: () => undefined },
    reporter: { begin: () => ({ fields: [] }), ended: () => undefined },
    admission: new Admission(10, 10),
    clock: new FakeClock(),
    random: () => 0,
    deadlines: { nowMs: 0, watch: () => undefined, unwatch: () => undefined },
    budget: { add: () => undefined, remove: () => undefined },
    clientFields: () => [],
    retryBodyBytes: 0,
    streamIdleMs: 0,
    ...over,
  } as unknown as ExchangeContext;
}

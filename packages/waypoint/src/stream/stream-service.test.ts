/** A fault of ours in one connection that is no HTTP: it ends that one, and keeps no other from what is due to it. */
import { expect, test } from '@jest/globals';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import type { Downstream } from '../exchange/downstream.ts';
import type { Carried } from '../inbound/context.ts';
import { boundPolicies } from '../resources/index/policies.ts';
import type { ResourceStore } from '../resources/store.ts';
import { ByteStreams, type StreamContext } from './stream-service.ts';

const WORKLOAD = { address: { ip: '10.0.0.1', port: 80 }, kind: 'workload' };

function streams() {
  const told: unknown[] = [];
  let broken = 0;
  const fault = new TypeError('x is undefined');
  const config = {
    authorization: boundPolicies([]),
    authentication: [],
    http: { producer: undefined, consumers: new Map() },
    streams: [],
  };
  const snapshot = () => {
    if (broken > 0) {
      broken -= 1;
      throw fault;
    }
    return { complete: true, workloads: () => config };
  };
  let changed: (change: object) => void = () => undefined;
  const changes = {
    subscribe: (heard: typeof changed) => {
      changed = heard;
      return { [Symbol.dispose]: () => undefined };
    },
  };
  const tell = (_: string, error: unknown) => told.push(error);
  const context = {
    snapshot,
    clock: new FakeClock(),
    random: () => 0,
    reporter: { connectionBegan: () => ({ addBytes: () => undefined, close: () => undefined }) },
    policyReport: { decided: () => undefined },
    faults: {
      tell,
      contain: (what: string, act: () => void, end: () => void) => {
        try {
          act();
        } catch (error) {
          tell(what, error);
          end();
        }
      },
    },
    // Nobody is connected with yet.
    upstreams: { workload: () => ({ pending: new Promise<void>(() => undefined) }) },
  };
  const service = new ByteStreams(
    context as unknown as StreamContext,
    changes as unknown as ResourceStore['changes'],
  );
  const ended: string[] = [];
  const serve = (name: string) => {
    const transport = { destroy: () => void ended.push(name) };
    const downstream = { destination: WORKLOAD, connection: {} } as unknown as Downstream;
    service.serve(downstream, { carrier: 'tcp', transport, closed: () => undefined } as unknown as Carried);
  };
  const fails = (times: number) => {
    broken = times;
  };
  const policyChanges = () => changed({ kinds: new Set(['AuthorizationPolicy']) });
  return { service, serve, fails, policyChanges, told, ended, fault };
}

test('where it begins', () => {
  const { service, serve, fails, told, ended, fault } = streams();
  fails(1);
  serve('one');
  expect([told, ended, service.openConnections]).toEqual([[fault], ['one'], 0]);
});

test('where it is decided on again: the others are decided on all the same', () => {
  const { service, serve, fails, policyChanges, told, ended, fault } = streams();
  serve('one');
  serve('two');
  expect(told).toEqual([]);
  expect(service.openConnections).toBe(2);
  fails(1);
  policyChanges();
  expect([told, ended, service.openConnections]).toEqual([[fault], ['one'], 1]);
});

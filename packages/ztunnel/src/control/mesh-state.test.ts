import { describe, expect, test } from '@jest/globals';
import { ADDRESS_TYPE_URL, createWorkload, encodeAddress } from '@ambit/api/workload';
import { silentLogger } from '@ambit/core/log';
import { Interner } from '@ambit/model/intern';
import { MeshStore } from '@ambit/model/store';
import { applyMeshDelta } from '../threads/mesh-delta.ts';
import type { MeshDeltaMessage } from '../threads/messages.ts';
import { MeshState } from './mesh-state.ts';
import type { WorkerEvent } from './worker-pool.ts';

function stateWith(size: number) {
  const sent: MeshDeltaMessage[] = [];
  let say: (event: WorkerEvent, worker: number) => void = () => undefined;
  const state = new MeshState({
    nodeName: '',
    onDemand: false,
    workers: {
      size,
      broadcast: (message) => void sent.push(message),
      subscribe: (listener) => {
        say = listener;
        return { [Symbol.dispose]: () => undefined };
      },
    },
    log: silentLogger,
  });
  return { state, sent, say: (event: WorkerEvent, worker: number) => say(event, worker) };
}

const workload = (uid: string, tunnelProtocol: 0 | 2 = 0) => ({
  name: uid,
  value: encodeAddress({
    type: {
      $case: 'workload',
      value: createWorkload({
        uid,
        namespace: 'ns',
        addresses: [Uint8Array.of(10, 0, 0, 1)],
        tunnelProtocol,
      }),
    },
  }),
});

const [addresses] = stateWith(0).state.handlers();

describe('mesh state', () => {
  test('workers get what was accepted, and only that', () => {
    const { state, sent } = stateWith(1);
    const [handler] = state.handlers();
    const rejections = handler?.apply({ upserts: [workload('good'), workload('bad', 2)], removed: [] });
    expect(rejections?.map(({ name }) => name)).toEqual(['bad']);
    handler?.apply({ upserts: [workload('bad', 2)], removed: [] });
    handler?.apply({ upserts: [], removed: ['good'] });
    const mesh = new MeshStore({ nodeName: '' });
    const seen = sent.map((message) => {
      applyMeshDelta(mesh, message, new Interner());
      return [message.version, [...mesh.workloads()].map(({ uid }) => uid)];
    });
    expect(seen).toEqual([
      [1, ['good']],
      [2, []],
    ]);
  });

  test('asks for addresses first, and then policies', () => {
    expect(addresses?.typeUrl).toBe(ADDRESS_TYPE_URL);
  });

  test('has reached the workers when the slowest has applied it', async () => {
    const { state, say } = stateWith(2);
    state.loadLocal('workloads: []', 'f');
    let reached = false;
    const waiting = state.reachedWorkers(AbortSignal.timeout(1_000)).then(() => {
      reached = true;
    });
    say({ kind: 'mesh-applied', version: 1 }, 0);
    await Promise.resolve();
    expect(reached).toBe(false);
    say({ kind: 'mesh-applied', version: 1 }, 1);
    await waiting;
    expect(state.applied.value).toBe(1);
  });

  test('a bad local file changes nothing', () => {
    const { state, sent } = stateWith(1);
    expect(() => state.loadLocal('workloads: [{name: 1}]', 'mesh.yaml')).toThrow('mesh.yaml');
    expect([sent, state.version]).toEqual([[], 0]);
  });
});

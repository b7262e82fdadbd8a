import { describe, expect, test } from '@jest/globals';
import { AUTHORIZATION_TYPE_URL, createAuthorization, encodeAuthorization } from '@ambit/api/authorization';
import { ADDRESS_TYPE_URL, createWorkload, encodeAddress } from '@ambit/api/workload';
import { silentLogger } from '@ambit/core/log';
import { Interner } from '@ambit/model/intern';
import { MeshStore } from '@ambit/model/store';
import { applyMeshDelta } from '../threads/mesh-delta.ts';
import type { MeshDeltaMessage } from '../threads/messages.ts';
import { MeshState } from './mesh-state.ts';
import type { WorkerEvent } from './worker-pool.ts';

function stateWith(size: number, afterLargeChange?: () => void) {
  const sent: MeshDeltaMessage[] = [];
  let say: (event: WorkerEvent, worker: number) => void = () => undefined;
  const state = new MeshState({
    nodeName: '',
    onDemand: false,
    workers: {
      size,
      broadcast: (message) => void (message.kind === 'mesh-delta' && sent.push(message)),
      subscribe: (listener) => {
        say = listener;
        return { [Symbol.dispose]: () => undefined };
      },
    },
    ...(afterLargeChange ? { afterLargeChange } : {}),
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

const NOTHING = { upserts: [], removed: [] };

/** A policy of a whole namespace, which no workload names. */
const policy = {
  name: 'ns/deny',
  value: encodeAuthorization(createAuthorization({ name: 'deny', namespace: 'ns', action: 1, scope: 1 })),
};

function handlersOf(state: MeshState) {
  const of = (typeUrl: string) => {
    const handler = state.handlers().find((one) => one.typeUrl === typeUrl);
    if (!handler) throw new Error(`no handler for ${typeUrl}`);
    return handler;
  };
  return { addresses: of(ADDRESS_TYPE_URL), policies: of(AUTHORIZATION_TYPE_URL) };
}

describe('mesh state', () => {
  test('workers learn of a policy that cannot be read', () => {
    const { state, sent } = stateWith(1);
    const { addresses, policies } = handlersOf(state);
    const rejections = policies.apply({ upserts: [{ name: 'ns/p', value: Uint8Array.of(7) }], removed: [] });
    expect(rejections.map(({ name }) => name)).toEqual(['ns/p']);
    addresses.apply({ upserts: [workload('w')], removed: [] });
    const mesh = new MeshStore({ nodeName: '' });
    for (const message of sent) applyMeshDelta(mesh, message, new Interner());
    const bound = mesh.workloadByUid('w');
    expect(bound && mesh.policiesFor(bound).missing).toEqual(['ns/p']);
  });

  test('workers take what is accepted of addresses, and only that', () => {
    const { state, sent } = stateWith(1);
    const { addresses, policies } = handlersOf(state);
    policies.apply(NOTHING);
    const rejections = addresses.apply({ upserts: [workload('good'), workload('bad', 2)], removed: [] });
    expect(rejections.map(({ name }) => name)).toEqual(['bad']);
    addresses.apply({ upserts: [workload('good', 2)], removed: [] });
    addresses.apply({ upserts: [], removed: ['good'] });
    const mesh = new MeshStore({ nodeName: '' });
    const seen = sent.map((message) => {
      applyMeshDelta(mesh, message, new Interner());
      return [message.version, [...mesh.workloads()].map(({ uid }) => uid)];
    });
    expect(seen).toEqual([
      [1, ['good']],
      [2, ['good']],
      [3, []],
    ]);
  });

  test('asks for policies first, and then addresses', () => {
    const { state } = stateWith(0);
    expect(state.handlers().map(({ typeUrl }) => typeUrl)).toEqual([
      AUTHORIZATION_TYPE_URL,
      ADDRESS_TYPE_URL,
    ]);
  });

  test('what was rejected before the policies came takes nothing away from what was good', () => {
    const { state, sent } = stateWith(1);
    const { addresses, policies } = handlersOf(state);
    addresses.apply({ upserts: [workload('good')], removed: [] });
    addresses.apply({ upserts: [workload('good', 2)], removed: [] });
    policies.apply(NOTHING);
    const mesh = new MeshStore({ nodeName: '' });
    for (const message of sent) applyMeshDelta(mesh, message, new Interner());
    expect(mesh.workloadByUid('good')).toBeDefined();
  });

  test('workers hear of no workload before the control plane has told its policies', () => {
    const { state, sent } = stateWith(1);
    const { addresses, policies } = handlersOf(state);
    addresses.apply({ upserts: [workload('a'), workload('b')], removed: [] });
    addresses.apply({ upserts: [workload('c')], removed: ['b', 'absent'] });
    expect(sent).toEqual([]);
    expect([...state.store.workloads()].map(({ uid }) => uid)).toEqual(['a', 'c']);
    policies.apply({ upserts: [policy], removed: [] });
    expect(sent.map(({ typeUrl, version }) => [typeUrl, version])).toEqual([
      [AUTHORIZATION_TYPE_URL, 1],
      [ADDRESS_TYPE_URL, 2],
    ]);
    expect([sent[1]?.upserts.map(({ name }) => name), sent[1]?.removed]).toEqual([
      ['a', 'c'],
      ['b', 'absent'],
    ]);
    addresses.apply({ upserts: [workload('d')], removed: [] });
    expect(sent[2]?.upserts.map(({ name }) => name)).toEqual(['d']);
  });

  test('an answer without policies is one too', () => {
    const { state, sent } = stateWith(1);
    const { addresses, policies } = handlersOf(state);
    addresses.apply({ upserts: [workload('a')], removed: [] });
    policies.apply(NOTHING);
    expect(sent.map(({ typeUrl }) => typeUrl)).toEqual([ADDRESS_TYPE_URL]);
  });

  test('has reached the workers when the slowest has applied it', async () => {
    const { state, say } = stateWith(2);
    state.loadLocal('workloads: []', 'f');
    let reached = false;
    const waiting = state.reachedWorkers(AbortSignal.timeout(120_000)).then(() => {
      reached = true;
    });
    say({ kind: 'mesh-applied', version: 1 }, 0);
    await Promise.resolve();
    expect(reached).toBe(false);
    say({ kind: 'mesh-applied', version: 1 }, 1);
    await waiting;
    expect(state.applied.value).toBe(1);
  });

  test('a large change is tidied up after when every worker has it, and a small one is not', async () => {
    let tidied = 0;
    const { state, say } = stateWith(1, () => {
      tidied += 1;
    });
    const settle = () => new Promise((resolve) => setTimeout(resolve, 20));
    const large = `workloads: []\n#${'x'.repeat(1_048_576)}`;
    state.loadLocal('workloads: []', 'small');
    say({ kind: 'mesh-applied', version: 1 }, 0);
    state.loadLocal(large, 'large');
    await settle();
    expect(tidied).toBe(0);
    say({ kind: 'mesh-applied', version: 2 }, 0);
    await settle();
    expect(tidied).toBe(1);
  });

  test('a bad local file changes nothing', () => {
    const { state, sent } = stateWith(1);
    expect(() => state.loadLocal('workloads: [{name: 1}]', 'mesh.yaml')).toThrow('mesh.yaml');
    expect([sent, state.version]).toEqual([[], 0]);
  });
});

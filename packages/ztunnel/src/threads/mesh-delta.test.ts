import { describe, expect, test } from '@jest/globals';
import { AUTHORIZATION_TYPE_URL, createAuthorization, encodeAuthorization } from '@ambit/api/authorization';
import { ADDRESS_TYPE_URL, createWorkload, encodeAddress } from '@ambit/api/workload';
import { Interner } from '@ambit/model/intern';
import { readLocalMesh } from '@ambit/model/local-file';
import { MeshStore } from '@ambit/model/store';
import { applyMeshDelta, localFileMessage, meshDeltaMessage } from './mesh-delta.ts';

const address = (uid: string) =>
  encodeAddress({
    type: {
      $case: 'workload',
      value: createWorkload({ uid, name: 'näme', namespace: 'ns', addresses: [Uint8Array.of(10, 0, 0, 1)] }),
    },
  });

function storeWith(...messages: Parameters<typeof applyMeshDelta>[1][]): MeshStore {
  const mesh = new MeshStore({ nodeName: '' });
  const interner = new Interner();
  for (const message of messages) applyMeshDelta(mesh, structuredClone(message), interner);
  return mesh;
}

describe('a delta for the workers', () => {
  test('carries resources of both types, and removals', () => {
    const upserts = ['a', 'b'].map((name) => ({ name, value: address(name) }));
    const policy = encodeAuthorization(createAuthorization({ name: 'p', namespace: 'ns' }));
    const mesh = storeWith(
      meshDeltaMessage(ADDRESS_TYPE_URL, { upserts, removed: [] }, 1),
      meshDeltaMessage(
        AUTHORIZATION_TYPE_URL,
        { upserts: [{ name: 'ns/p', value: policy }], removed: [] },
        2,
      ),
      meshDeltaMessage(ADDRESS_TYPE_URL, { upserts: [], removed: ['a'] }, 3),
    );
    expect([...mesh.workloads()].map(({ uid, name }) => [uid, name])).toEqual([['b', 'näme']]);
    expect(mesh.policyByKey('ns/p')?.action).toBe('Allow');
  });

  test('lies in memory that a clone shares', () => {
    const message = meshDeltaMessage(
      'type',
      { upserts: [{ name: 'a', value: Uint8Array.of(1) }], removed: [] },
      1,
    );
    const clone = structuredClone(message);
    message.bytes[0] = 7;
    expect(clone.bytes[0]).toBe(7);
  });

  test('may be a local file', () => {
    const text = 'workloads: [{uid: u, name: w, namespace: ns, workloadIps: [10.0.0.1], services: {}}]';
    const delta = readLocalMesh(text, 'f', new Interner());
    expect(storeWith(localFileMessage(delta, 1)).workloadAt('', '10.0.0.1')?.uid).toBe('u');
  });

  test('of a local file shares what its workloads have in common with those that came before', () => {
    const workload = (name: string, ip: string) =>
      `{uid: ${name}, name: ${name}, namespace: ns, workloadIps: [${ip}], services: {ns/s.example: {80: 8080}}}`;
    const file = (only: string) => readLocalMesh(`workloads: [${only}]`, 'f', new Interner());
    const mesh = storeWith(
      localFileMessage(file(workload('a', '10.0.0.1')), 1),
      localFileMessage(file(workload('b', '10.0.0.2')), 2),
    );
    const [a, b] = [mesh.workloadAt('', '10.0.0.1'), mesh.workloadAt('', '10.0.0.2')];
    expect(a?.services).toHaveLength(1);
    expect(b?.services).toBe(a?.services);
  });
});

import { expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import type { ServiceEntry } from '@ambit/kube/resources/networking';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import type { Inputs } from '../inputs.ts';
import { TestMesh } from '../testing/mesh-from-yaml.ts';
import { startStatusWriters } from './status-writers.ts';

test('what an earlier version said of a ServiceEntry and none says any more is taken away', async () => {
  await using scope = new AsyncDisposableStack();
  const api = scope.use(new FakeApiServer());
  const access = { server: new URL(await api.start()), tls: {}, headers: {}, namespace: '' };
  const client = scope.use(new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock)));
  const mesh = new TestMesh();
  mesh.apply(`
kind: ServiceEntry
metadata: {namespace: shop, name: once, uid: u}
spec: {hosts: [a.example.com], location: MESH_EXTERNAL, resolution: DNS, ports: [{number: 80, name: http}]}
status: {conditions: [{type: ambit.mesh/Supported, status: 'False', reason: UnsupportedResolution, message: no}]}
`);
  const entries = '/apis/networking.istio.io/v1/serviceentries';
  api.put(entries, mesh.inputs.serviceEntries.get('shop/once') as ServiceEntry);
  const { conditions, routeStatuses: routes, backendTlsStatuses: backendTls } = mesh.graph;
  scope.use(
    startStatusWriters({
      client,
      inputs: mesh.inputs as unknown as Inputs,
      conditions,
      routes,
      backendTls,
      clock: systemClock,
      random: () => 0.5,
      log: silentLogger,
    }),
  );
  const writes = () =>
    api.requests.filter((line) => line.startsWith('PATCH') && line.includes('/once/status'));
  for (let turn = 0; turn < 5_000 && writes().length === 0; turn += 1) await systemClock.sleep(5);
  expect(writes()).toHaveLength(1);
});

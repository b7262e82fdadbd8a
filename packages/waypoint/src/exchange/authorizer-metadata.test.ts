/** What services that authorize tell for logs is in the record of the request, whatever became of it. */
import { expect, test } from '@jest/globals';
import {
  AuthorizationAction,
  createWaypointResource,
  encodeWaypointResource,
  MESH_SETTINGS_NAME,
  WAYPOINT_RESOURCE_KINDS,
} from '@ambit/api/waypoint';
import { ResourceStore } from '../resources/store.ts';
import type { ExternalVerdict } from '../security/external.ts';
import { NO_CHANGES } from '../security/external.ts';
import type { RequestRecord } from '../telemetry/record.ts';
import { clusterOf, contextWith, exchangeOf } from '../testing/exchange.ts';
import type { ExternalCheck } from '../decide/verdict.ts';
import type { Downstream } from './downstream.ts';
import { ProxiedRequest } from './proxied-request.ts';

function storeAsking(providers: readonly string[]): ResourceStore {
  const store = new ResourceStore({ namespace: 'shop', gatewayName: 'waypoint' });
  for (const type of WAYPOINT_RESOURCE_KINDS) store.apply(type, [], []);
  const settings = createWaypointResource('MeshSettings', { rootNamespace: 'istio-system' });
  const bytes = encodeWaypointResource('MeshSettings', settings);
  store.apply('MeshSettings', [{ name: MESH_SETTINGS_NAME, bytes }], []);
  const policies = providers.map((provider) => {
    const policy = createWaypointResource('AuthorizationPolicy', {
      origin: { kind: 'AuthorizationPolicy', namespace: 'shop', name: provider, createdMs: 1n },
      targets: [{ kind: { $case: 'gateway', value: 'shop/waypoint' } }],
      action: AuthorizationAction.CUSTOM,
      provider,
      rules: [{}],
    });
    return { name: `shop/${provider}`, bytes: encodeWaypointResource('AuthorizationPolicy', policy) };
  });
  expect(store.apply('AuthorizationPolicy', policies, [])).toEqual([]);
  return store;
}

/** The record of a request about which the providers said this. */
async function recordOf(verdicts: Readonly<Record<string, ExternalVerdict>>): Promise<RequestRecord> {
  const store = storeAsking(Object.keys(verdicts));
  const ended = Promise.withResolvers<RequestRecord>();
  const key = 'shop/web.shop.svc.cluster.local' as const;
  const context = contextWith(store, {
    reporter: { begin: () => ({ fields: [] }), ended: ended.resolve },
    security: {
      bodyBytes: () => 0,
      check: ({ provider }: ExternalCheck) => Promise.resolve(verdicts[provider]),
    },
    upstreams: { clusterFor: () => clusterOf(store.destination(key, 80, ''), () => request.onAbort(gone)) },
  });
  const gone = { kind: 'reset', message: 'gone' } as never;
  const destination = { kind: 'service', service: { key }, port: 80, address: { ip: '', port: 80 } };
  const connection = { identity: undefined, sourceIp: '10.0.0.9', destination: { ip: '', port: 80 } };
  const downstream = { destination, connection } as unknown as Downstream;
  const request = new ProxiedRequest(context, downstream, exchangeOf({}, [])).start();
  return await ended.promise;
}

const yes = (metadata?: object): ExternalVerdict => ({
  kind: 'allow',
  changes: NO_CHANGES,
  query: undefined,
  responseFields: [],
  metadata: metadata && { ...metadata },
});

test.each<[string, Readonly<Record<string, ExternalVerdict>>, object | undefined]>([
  ['nothing', { one: yes() }, undefined],
  ['that it may pass', { one: yes({ user: 'alice' }) }, { user: 'alice' }],
  [
    'by several: of one name the last word counts',
    { one: yes({ user: 'alice', a: 1 }), two: yes({ user: 'bob' }) },
    { user: 'bob', a: 1 },
  ],
  [
    'that it may not',
    {
      one: {
        kind: 'deny',
        status: 403,
        fields: [],
        body: new Uint8Array(0),
        failed: false,
        metadata: { why: 'no' },
      },
    },
    { why: 'no' },
  ],
])('told: %s', async (_, verdicts, want) => {
  expect((await recordOf(verdicts)).authorizerMetadata).toEqual(want);
});

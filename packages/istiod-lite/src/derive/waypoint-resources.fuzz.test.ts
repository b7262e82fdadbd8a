/** VirtualServices and the like that nobody should have stored: nothing throws, and what cannot be read refuses. */
import { expect, test } from '@jest/globals';
import { fuzzing } from '@ambit/core/testing/seeded';
import { decodeWaypointResource } from '@ambit/api/waypoint';
import type { KubeObject } from '@ambit/kube/resource';
import { TestMesh } from '../testing/mesh-from-yaml.ts';
import { JUNK, mutated } from '../testing/mutate.ts';
import {
  BACKEND_TLS_POLICY,
  DESTINATION_RULE,
  TELEMETRY,
  VIRTUAL_SERVICE,
  WAYPOINT_WORLD,
} from '../testing/waypoint-specs.ts';

const ROUNDS = 2_000;
test(`${ROUNDS} mutated VirtualServices, DestinationRules, Telemetries and BackendTLSPolicies`, () => {
  const chance = fuzzing(31);
  const mesh = new TestMesh();
  mesh.apply(WAYPOINT_WORLD);
  const { caCertificateRefs: _, ...validation } = BACKEND_TLS_POLICY.validation;
  const known = { ...BACKEND_TLS_POLICY, validation };
  const pem = '-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----';
  mesh.set({
    kind: 'ConfigMap',
    metadata: { namespace: 'shop', name: 'authorities' },
    data: { 'ca.crt': pem },
  } as KubeObject);
  const of = (kind: string) => mesh.graph.waypointFeeds.find((feed) => feed.kind === kind);
  const count = { http: 0, streams: 0, refusing: 0, destinations: 0, telemetries: 0, tls: 0, refusedTls: 0 };
  const set = (kind: string, name: string, spec: unknown) =>
    mesh.set({ kind, metadata: { namespace: 'shop', name }, spec } as KubeObject);
  const part = (whole: object) =>
    chance.below(20) === 0 ? { http: JUNK[chance.below(JUNK.length)] } : (mutated(whole, chance) as object);
  for (let i = 0; i < ROUNDS; i++) {
    set('VirtualService', 'cart', { ...part(VIRTUAL_SERVICE), hosts: ['cart'] });
    set('VirtualService', 'part', mutated({ http: VIRTUAL_SERVICE.http.slice(0, 1) }, chance));
    set(
      'VirtualService',
      'any',
      chance.below(10) === 0
        ? JUNK[chance.below(JUNK.length)]
        : mutated({ ...VIRTUAL_SERVICE, hosts: ['*'] }, chance),
    );
    set('DestinationRule', 'cart', {
      ...(mutated(DESTINATION_RULE, chance) as object),
      host: 'cart',
      exportTo: ['*'],
    });
    set(
      'DestinationRule',
      'any',
      chance.below(10) === 0
        ? JUNK[chance.below(JUNK.length)]
        : mutated({ ...DESTINATION_RULE, host: '*.local' }, chance),
    );
    set(
      'Telemetry',
      'any',
      chance.below(10) === 0 ? JUNK[chance.below(JUNK.length)] : mutated(TELEMETRY, chance),
    );
    set(
      'BackendTLSPolicy',
      'cart',
      chance.below(10) === 0
        ? JUNK[chance.below(JUNK.length)]
        : mutated(chance.below(2) === 0 ? BACKEND_TLS_POLICY : known, chance),
    );
    mesh.scheduler.flush();
    for (const feed of mesh.graph.waypointFeeds)
      for (const { resource } of feed.entries()) decodeWaypointResource(feed.kind, resource.value);
    const http = of('HttpRoute')?.get('VirtualService/shop/cart');
    const streams = [...(of('StreamRoute')?.all() ?? [])].filter(({ name }) =>
      name.startsWith('VirtualService/shop/cart'),
    );
    // Whatever it says, its service is never as if it were not there.
    expect(http !== undefined || streams.length > 0).toBe(true);
    const route = http && decodeWaypointResource('HttpRoute', http.value);
    if (route && route.unreadable !== '') count.refusing += 1;
    else if (route) count.http += 1;
    count.streams += streams.length;
    expect(of('DestinationPolicy')?.get('DestinationRule/shop/cart')).toBeDefined();
    count.destinations += 1;
    const tls = of('DestinationPolicy')?.get('BackendTLSPolicy/shop/cart.shop.svc.cluster.local');
    const policies = tls ? decodeWaypointResource('DestinationPolicy', tls.value) : undefined;
    for (const said of [policies?.policy?.tls, ...(policies?.ports ?? []).map(({ policy }) => policy?.tls)]) {
      if (said?.unreadable === '') count.tls += 1;
      else if (said) count.refusedTls += 1;
      // Whom to trust is never left open.
      if (said?.unreadable === '') expect(said.sni).not.toBe('');
    }
    count.telemetries += of('Telemetry')?.size ?? 0;
  }
  expect(mesh.errors).toEqual([]);
  expect(Math.min(...Object.values(count))).toBeGreaterThan(ROUNDS / 50);
});

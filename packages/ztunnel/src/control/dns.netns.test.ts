import { Resolver } from 'node:dns/promises';
import { expect, test } from '@jest/globals';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { MetricRegistry } from '@ambit/core/metrics';
import { meshOf } from '@ambit/model/testing/mesh-file';
import { configFrom } from '../config.ts';
import { podDns } from './dns.ts';

const MESH = `
workloads: [{uid: u, name: web-0, namespace: shop, serviceAccount: web, trustDomain: td, workloadIps: [10.0.0.1], services: {}}]
services: [{name: web, namespace: shop, hostname: web.shop.svc.cluster.local, vips: [/10.1.0.9], ports: {80: 80}}]
`;
const POD = { uid: 'u', name: 'web-0', namespace: 'shop', serviceAccount: 'web' };

function dnsOf(env: Readonly<Record<string, string>>) {
  const base = { PROXY_MODE: 'dedicated', PROXY_WORKLOAD_INFO: 'shop/web-0/web', XDS_ADDRESS: '' };
  const config = configFrom(
    { ...base, ...env },
    { exists: () => false, read: () => undefined, machineCpus: 2 },
  );
  return podDns(config, {
    mesh: meshOf(MESH),
    registry: new MetricRegistry(),
    ipv6: true,
    resolvConf: 'nameserver 192.0.2.53\nsearch shop.svc.cluster.local',
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  });
}

async function ask(server: string, name = 'web.shop.svc.cluster.local'): Promise<readonly string[]> {
  const resolver = new Resolver({ timeout: 25_000, tries: 1 });
  resolver.setServers([server]);
  return await resolver.resolve4(name);
}

test('an old and a new ztunnel can both answer while one replaces the other', async () => {
  const [older, newer] = [dnsOf({}), dnsOf({})];
  const old = await older?.(POD, undefined);
  using _ = await newer?.(POD, undefined);
  expect(await ask('127.0.0.1:15053')).toEqual(['10.1.0.9']);
  old?.[Symbol.dispose]();
  expect(await ask('127.0.0.1:15053')).toEqual(['10.1.0.9']);
  expect(await ask('[::1]:15053')).toEqual(['10.1.0.9']);
});

test('without INPOD_PORT_REUSE a taken address is an error', async () => {
  using _ = await dnsOf({ INPOD_PORT_REUSE: 'false' })?.(POD, undefined);
  await expect(dnsOf({ INPOD_PORT_REUSE: 'false' })?.(POD, undefined)).rejects.toThrow('EADDRINUSE');
});

test('it can be elsewhere, or off', async () => {
  using _ = await dnsOf({ ISTIO_META_DNS_PROXY_ADDR: '127.0.0.1:10053' })?.(POD, undefined);
  expect(await ask('127.0.0.1:10053')).toEqual(['10.1.0.9']);
  expect(dnsOf({ ISTIO_META_DNS_CAPTURE: 'false' })).toBeUndefined();
});

import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { spawnSync } from 'node:child_process';
import { createServer, Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { StaticCollection } from '@ambit/collections/static';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import type { EndpointSlice, Service } from '@ambit/kube/resources/core';
import { NETNS_CURRENT } from '@ambit/linux/netns';
import { listenTcp, tcpSocket } from '@ambit/linux/sockets';
import { nodeAddresses } from '../network/addresses.ts';
import { run } from '../network/command.ts';
import { type LabNetwork, makeNetwork } from '../network/nodes.ts';
import { startDnsServer } from './dns-server.ts';
import { startDnsThread } from './dns-thread.ts';
import { renderServiceRules } from './render-service-rules.ts';

let network: LabNetwork;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  network = stack.use(await makeNetwork([nodeAddresses(0), nodeAddresses(1)]));
});
afterAll(async () => {
  await stack.disposeAsync();
});

const api: Service = {
  metadata: { name: 'api', namespace: 'shop' },
  spec: { clusterIP: '10.96.0.5', ports: [{ name: 'http', port: 80 }] },
};
const at = (ip: string, ready: boolean): EndpointSlice => ({
  metadata: { name: 'api-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'api' } },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 7_100 }],
  endpoints: [{ addresses: [ip], conditions: { ready } }],
});

async function load(slices: readonly EndpointSlice[]): Promise<void> {
  await run(['ip', 'netns', 'exec', 'lab-node-a', 'nft', '-f', '-'], renderServiceRules([api], slices));
}

async function connectTo(ip: string, port: number): Promise<string> {
  const [node] = network.nodes;
  const socket = new Socket({ fd: tcpSocket({ netnsFd: node?.netns.fd ?? -1, family: 4 }) });
  try {
    socket.setEncoding('utf8').setTimeout(60_000, () => socket.destroy(new Error('no answer')));
    socket.connect({ host: ip, port });
    const [text] = (await once(socket, 'data')) as [string];
    return text;
  } finally {
    socket.destroy();
  }
}

test('the kernel takes a ClusterIP to a ready endpoint, and refuses without one', async () => {
  const server = createServer((socket) => socket.end('hello'));
  const [, second] = network.nodes;
  server.listen({ fd: listenTcp({ netnsFd: second?.netns.fd ?? -1, ip: '172.18.0.12', port: 7_100 }).fd });
  await load([at('172.18.0.12', true)]);
  expect(await connectTo('10.96.0.5', 80)).toBe('hello');
  await load([at('172.18.0.12', false)]);
  await expect(connectTo('10.96.0.5', 80)).rejects.toThrow(/ECONNREFUSED|ECONNRESET/);
  await load([at('172.18.0.12', true)]);
  expect(await connectTo('10.96.0.5', 80)).toBe('hello');
  server.close();
});

test('DNS answers over UDP, and over TCP, and survives what is no query', async () => {
  const state = {
    service: (namespace: string, name: string) => (`${namespace}/${name}` === 'shop/api' ? api : undefined),
    slices: () => [],
  };
  await using _ = await startDnsServer({
    netnsFd: NETNS_CURRENT,
    ip: '127.0.0.53',
    state,
    log: silentLogger,
  });
  const resolver = new Resolver({ timeout: 25_000, tries: 1 });
  resolver.setServers(['127.0.0.53']);
  expect(await resolver.resolve4('api.shop.svc.cluster.local')).toEqual(['10.96.0.5']);
  await expect(resolver.resolve4('nobody.shop.svc.cluster.local')).rejects.toThrow('ENOTFOUND');
  await expect(resolver.resolve6('api.shop.svc.cluster.local')).rejects.toThrow('ENODATA');

  const garbage = new Socket().connect(53, '127.0.0.53');
  garbage.end(Buffer.from([0, 3, 1, 2, 3]));
  await once(garbage, 'close');
  const query = Buffer.from('001e123401000001000000000000036170690473686f7003737663', 'hex');
  const name = Buffer.from('07636c7573746572056c6f63616c0000010001', 'hex');
  const message = Buffer.concat([query.subarray(2), name]);
  const framed = Buffer.alloc(2 + message.length);
  framed.writeUInt16BE(message.length);
  message.copy(framed, 2);
  const client = new Socket().connect(53, '127.0.0.53');
  client.write(framed);
  const [answer] = (await once(client, 'data')) as [Buffer];
  client.destroy();
  expect([answer.readUInt16BE(0), [...answer.subarray(-4)]]).toEqual([answer.length - 2, [10, 96, 0, 5]]);
});

test('DNS answers while the thread that started it is busy, and learns', async () => {
  const services = new StaticCollection<string, Service>({ name: 'services' });
  const endpointSlices = new StaticCollection<string, EndpointSlice>({ name: 'slices' });
  const inputs = { services, endpointSlices, clock: systemClock, log: silentLogger };
  await using _ = await startDnsThread(inputs, { netnsFd: NETNS_CURRENT, ip: '127.0.0.53' });
  /** Asked by another process, and nothing else happens here meanwhile. */
  const ask = () =>
    spawnSync(
      process.execPath,
      [
        '-e',
        `const { Resolver } = require('node:dns/promises');
         const resolver = new Resolver({ timeout: 25_000, tries: 1 });
         resolver.setServers(['127.0.0.53']);
         resolver.resolve4('api.shop.svc.cluster.local').then(console.log, ({ code }) => console.log(code));`,
      ],
      { encoding: 'utf8' },
    ).stdout.trim();
  expect(ask()).toBe('ENOTFOUND');
  services.set('shop/api', api);
  await systemClock.sleep(100);
  for (let i = 0; i < 20 && ask() === 'ENOTFOUND'; i++) await systemClock.sleep(100);
  expect(ask()).toBe("[ '10.96.0.5' ]");
});

test('rules that are loaded again are the same rules', async () => {
  await load([at('172.18.0.12', true)]);
  const list = () =>
    spawnSync('ip', ['netns', 'exec', 'lab-node-a', 'nft', 'list', 'ruleset'], { encoding: 'utf8' }).stdout;
  const first = list();
  await load([at('172.18.0.12', true)]);
  expect([first.includes('10.96.0.5'), list()]).toEqual([true, first]);
});

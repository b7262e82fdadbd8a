import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { ADDRESS_TYPE_URL } from '@ambit/api/workload';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { until } from '@ambit/core/watch';
import { CA_SERVICE, createCaService } from '@ambit/identity/ca-server';
import { certificateSource } from '@ambit/identity/control-plane-access';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';
import { DeltaXdsServer } from '@ambit/xds/server';
import { MemoryFeed } from '@ambit/xds/testing/memory-feed';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { type Config, configFrom } from '../config.ts';
import { xdsClient, xdsNode } from './control-plane.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

const WEB = 'spiffe://cluster.local/ns/shop/sa/web';

/** One TLS port for xDS and CA, as istiod has it; whoever brings `token` is known. */
async function controlPlane(hostname: string) {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-cp-'));
  const root = join(folder, 'root-cert.pem');
  const token = join(folder, 'token');
  const authority = await createSelfSignedCa({ clock: systemClock });
  const { certificatePem, keys } = await authority.issueServer({ dnsNames: [hostname] });
  writeFileSync(root, authority.material.rootsPem.join(''));
  writeFileSync(token, 'node-token\n');
  const feed = new MemoryFeed(ADDRESS_TYPE_URL);
  feed.set({ w: 'value' });
  const asked: string[] = [];
  const authenticate = (given: unknown) => {
    if (given !== 'Bearer node-token') throw new Error('who?');
  };
  const xds = new DeltaXdsServer({
    feeds: [feed],
    authenticate: async ({ metadata }) => {
      authenticate(metadata.get('authorization')[0]);
      asked.push(`xds ${metadata.get('clusterid')[0]} ${metadata.get('x')[0]}`);
      return 'node';
    },
    clock: systemClock,
    log: silentLogger,
  });
  const server = new Server();
  xds.addTo(server);
  server.addService(
    CA_SERVICE,
    createCaService({
      authority,
      authenticate: async (metadata) => {
        authenticate(metadata.get('authorization')[0]);
        return { identities: ['spiffe://cluster.local/ns/istio-system/sa/ztunnel'] };
      },
      authorize: async (_, identity) => void asked.push(`ca ${identity}`),
      log: silentLogger,
    }),
  );
  const privateKey = Buffer.from(keys.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const pair = { private_key: privateKey, cert_chain: Buffer.from(certificatePem) };
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createSsl(null, [pair]), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  cleanups.push(() => {
    xds[Symbol.dispose]();
    server.forceShutdown();
    rmSync(folder, { recursive: true });
  });
  return { port, root, token, asked };
}

function configOf(env: Readonly<Record<string, string>>): Config {
  return configFrom(env, {
    exists: (path) => path.startsWith(tmpdir()),
    read: () => undefined,
    machineCpus: 2,
  });
}

async function firstAnswer(config: Config, timeoutMs: number): Promise<readonly string[]> {
  const names: string[] = [];
  if (!config.xds) throw new Error('no address');
  const apply = ({ upserts }: { readonly upserts: readonly { readonly name: string }[] }) => {
    names.push(...upserts.map(({ name }) => name));
    return [];
  };
  const handlers = [{ typeUrl: ADDRESS_TYPE_URL, apply }];
  const client = await xdsClient(config, config.xds, {
    handlers,
    observer: {},
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  });
  await client.start(AbortSignal.timeout(120_000));
  try {
    await until(client.synced, (synced) => synced, AbortSignal.timeout(timeoutMs));
  } finally {
    await client.drain();
  }
  return names;
}

describe('a control plane with TLS', () => {
  test('is trusted by its root and name, and is shown the token and the headers', async () => {
    const { port, root, token, asked } = await controlPlane('localhost');
    const config = configOf({
      XDS_ADDRESS: `localhost:${port}`,
      CA_ADDRESS: `localhost:${port}`,
      XDS_ROOT_CA: root,
      CA_ROOT_CA: root,
      AUTH_TOKEN: token,
      CLUSTER_ID: 'c1',
      XDS_HEADER_X: 'y',
    });
    expect(await firstAnswer(config, 120_000)).toEqual(['w']);
    using source = await certificateSource(config, true, {
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
    });
    const certificate = await source.fetch(WEB, AbortSignal.timeout(120_000));
    expect([certificate.identity, asked]).toEqual([WEB, ['xds c1 y', `ca ${WEB}`]]);
  });

  test('may go by another name that is told', async () => {
    const { port, root, token } = await controlPlane('istiod.elsewhere.svc');
    const env = { XDS_ADDRESS: `localhost:${port}`, XDS_ROOT_CA: root, AUTH_TOKEN: token };
    await expect(firstAnswer(configOf(env), 300)).rejects.toThrow('timeout');
    const named = configOf({ ...env, ALT_XDS_HOSTNAME: 'istiod.elsewhere.svc' });
    expect(await firstAnswer(named, 120_000)).toEqual(['w']);
  });

  test('that another root vouches for is not spoken to', async () => {
    const { port, token, asked } = await controlPlane('localhost');
    const { root } = await controlPlane('localhost');
    const env = { XDS_ADDRESS: `localhost:${port}`, XDS_ROOT_CA: root, AUTH_TOKEN: token };
    await expect(firstAnswer(configOf(env), 300)).rejects.toThrow('timeout');
    expect(asked).toEqual([]);
  });
});

test('the node says who it is as istiod expects it', () => {
  const config = configOf({
    POD_NAME: 'ztunnel-x',
    POD_NAMESPACE: 'istio-system',
    INSTANCE_IP: '10.0.0.9',
    NODE_NAME: 'n1',
    ISTIO_META_CLUSTER_ID: 'c1',
    ISTIO_METAJSON_LABELS: '{"a":"b"}',
  });
  expect(xdsNode(config)).toEqual({
    id: 'ztunnel~10.0.0.9~ztunnel-x.istio-system~istio-system.svc.cluster.local',
    cluster: '',
    metadata: {
      NAME: 'ztunnel-x',
      NAMESPACE: 'istio-system',
      INSTANCE_IPS: '10.0.0.9',
      NODE_NAME: 'n1',
      CLUSTER_ID: 'c1',
      LABELS: { a: 'b' },
    },
  });
});

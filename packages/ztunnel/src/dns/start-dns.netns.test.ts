import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { listenTcp, tcpSocket, udpSocket } from '@ambit/linux/sockets';
import { TestNamespaces, type TestNetns } from '@ambit/linux/testing/namespaces';
import { Interner } from '@ambit/model/intern';
import { readLocalMesh } from '@ambit/model/local-file';
import { MeshStore } from '@ambit/model/store';
import { InFlight } from './in-flight.ts';
import { parseQuery, RCODE, TYPE } from './query.ts';
import { addressReply, errorReply } from './reply.ts';
import { startDns } from './start-dns.ts';
import { readAnswer } from './testing/client.ts';
import { FakeUpstream, framed } from './testing/fake-upstream.ts';
import { buildQuery } from './testing/messages.ts';

const MARK = 0x539;
const CLUSTER_DNS = { ip: '10.96.0.10', port: 53 };

/** The rules of an enrolled pod that concern DNS. */
const CAPTURE = `
table ip capture {
  chain nat_output {
    type nat hook output priority -100;
    oifname != "lo" udp dport 53 meta mark & 0xfff != ${MARK} redirect to :15053
    ip daddr != 127.0.0.1 tcp dport 53 meta mark & 0xfff != ${MARK} redirect to :15053
  }
  chain raw_output {
    type filter hook output priority -300;
    udp dport 53 meta mark & 0xfff == ${MARK} ct zone set 1
  }
  chain raw_prerouting {
    type filter hook prerouting priority -300;
    udp sport 53 meta mark & 0xfff != ${MARK} ct zone set 1
  }
}`;

const MESH = `
workloads:
  - {uid: client, name: client, namespace: app, serviceAccount: s, workloadIps: [10.1.0.5], services: {}}
services:
  - {name: web, namespace: app, hostname: web.app.svc.cluster.local, vips: ["/10.96.0.80"], ports: {}}
`;

const fromUpstream = (question: Buffer): readonly Uint8Array[] => {
  const answer = Buffer.concat([question, Buffer.from('from upstream')]);
  answer.writeUInt16BE(0x8180, 2);
  return [answer];
};

/** As Kubernetes' own DNS answers: a name with a search domain behind it does not exist. */
const asKubernetes = (question: Buffer): readonly Uint8Array[] => {
  const parsed = parseQuery(question);
  if (parsed.kind !== 'query') return [];
  const { query } = parsed;
  if (query.name !== 'web.app.svc.cluster.local') return [errorReply(query, RCODE.nxDomain)];
  return [addressReply(query, query.type === TYPE.a ? ['10.96.0.80'] : [], undefined)];
};

/** Every other datagram of the pod goes as if the capture were not there yet. */
const HALF_CAPTURED = `
table ip late {
  chain raw_output {
    type filter hook output priority -300;
    oifname != "lo" udp dport 53 meta mark & 0xfff != ${MARK} numgen inc mod 2 == FIRST notrack
  }
}`;

describe('DNS of an enrolled pod', () => {
  let clusterAnswers = fromUpstream;
  const namespaces = new TestNamespaces();
  let pod: TestNetns;
  let node: TestNetns;
  let upstream: FakeUpstream;
  const mesh = new MeshStore({ nodeName: '' });

  beforeAll(async () => {
    mesh.apply(readLocalMesh(MESH, 'test.yaml', new Interner()));
    pod = namespaces.create();
    node = namespaces.create();
    pod.run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', node.path);
    pod.run('ip', 'addr', 'add', '10.1.0.5/24', 'dev', 'eth0');
    pod.run('ip', 'link', 'set', 'eth0', 'up');
    pod.run('ip', 'route', 'add', 'default', 'via', '10.1.0.1');
    node.run('ip', 'addr', 'add', '10.1.0.1/24', 'dev', 'eth0');
    node.run('ip', 'addr', 'add', `${CLUSTER_DNS.ip}/32`, 'dev', 'lo');
    node.run('ip', 'link', 'set', 'eth0', 'up');
    pod.nft(CAPTURE);
    const where = { netnsFd: node.fd, ...CLUSTER_DNS };
    upstream = await FakeUpstream.adopt(
      (question) => clusterAnswers(question),
      udpSocket(where),
      listenTcp(where).fd,
    );
  });

  afterAll(async () => {
    await upstream[Symbol.asyncDispose]();
    namespaces[Symbol.dispose]();
  });

  const start = (listen: readonly string[] = ['127.0.0.1', '::1'], reusePort = false) =>
    startDns({ name: 'client', namespace: 'app', serviceAccount: 's' }, pod.fd, {
      mesh,
      dns: { clusterDomain: 'cluster.local', preferredNamespace: '', ipv6: true },
      listen: listen.map((ip) => ({ ip, port: 15_053 })),
      nameservers: [CLUSTER_DNS],
      mark: MARK,
      reusePort,
      inFlight: new InFlight(1_000),
      recorder: {
        request: () => undefined,
        upstreamRequest: () => undefined,
        upstreamFailure: () => undefined,
        upstreamAnswer: () => undefined,
      },
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
    });

  /** As an application of the pod asks. */
  async function askUdp(question: Uint8Array, to = CLUSTER_DNS): Promise<{ answer: Buffer; from: string }> {
    const isV6 = to.ip.includes(':');
    const socket = createSocket(isV6 ? 'udp6' : 'udp4');
    socket.bind({ fd: udpSocket({ netnsFd: pod.fd, ip: isV6 ? '::' : '0.0.0.0', port: 0 }) });
    socket.send(question, to.port, to.ip);
    const [answer, from] = (await once(socket, 'message', { signal: AbortSignal.timeout(120_000) })) as [
      Buffer,
      { address: string; port: number },
    ];
    socket.close();
    return { answer, from: `${from.address}:${from.port}` };
  }

  async function askTcp(question: Uint8Array): Promise<Buffer> {
    const socket = new Socket({ fd: tcpSocket({ netnsFd: pod.fd, family: 4 }) });
    socket.connect(CLUSTER_DNS.port, CLUSTER_DNS.ip);
    socket.write(framed(question));
    const [answer] = (await once(socket, 'data', { signal: AbortSignal.timeout(120_000) })) as [Buffer];
    socket.destroy();
    return answer.subarray(2);
  }

  test('questions to the cluster’s DNS are captured, and seem to be answered by it', async () => {
    using _ = await start();
    const question = buildQuery({ name: 'web.app.svc.cluster.local', type: 1 });
    const { answer, from } = await askUdp(question);
    expect([readAnswer(answer).ips, from]).toEqual([['10.96.0.80'], '10.96.0.10:53']);
    expect(readAnswer(await askTcp(question)).ips).toEqual(['10.96.0.80']);
    expect(upstream.asked).toEqual([]);
  });

  test('what the mesh does not know reaches the cluster’s DNS, past the capture', async () => {
    using _ = await start();
    const question = buildQuery({ name: '_http._tcp.example.com', type: 33, id: 77 });
    const { answer, from } = await askUdp(question);
    expect([answer.subarray(-13).toString(), answer.readUInt16BE(0), from]).toEqual([
      'from upstream',
      77,
      '10.96.0.10:53',
    ]);
    expect((await askTcp(question)).subarray(-13).toString()).toBe('from upstream');
    expect(upstream.asked.map(({ protocol }) => protocol)).toEqual(['udp', 'tcp']);
  });

  test('IPv6 loopback answers too', async () => {
    using _ = await start();
    const { answer } = await askUdp(buildQuery({ name: 'web.app', type: 1 }), { ip: '::1', port: 15_053 });
    expect(readAnswer(answer).ips).toEqual(['10.96.0.80']);
  });

  test('a pod without IPv6 is served on IPv4', async () => {
    pod.run('sysctl', '-q', '-w', 'net.ipv6.conf.lo.disable_ipv6=1');
    using _ = await start();
    expect(readAnswer((await askUdp(buildQuery({ name: 'web', type: 1 }))).answer).ips).toEqual([
      '10.96.0.80',
    ]);
  });

  test('no question is lost when another ztunnel takes over, however full the hands of the old one are', async () => {
    const old = await start(['127.0.0.1'], true);
    using _ = await start(['127.0.0.1'], true);
    const clients = Array.from({ length: 200 }, () => {
      const socket = createSocket('udp4');
      socket.bind({ fd: udpSocket({ netnsFd: pod.fd, ip: '0.0.0.0', port: 0 }) });
      return socket;
    });
    await Promise.all(
      clients.map(
        (socket) => new Promise<void>((resolve) => socket.connect(CLUSTER_DNS.port, CLUSTER_DNS.ip, resolve)),
      ),
    );
    const answers = clients.map(async (socket, i) => {
      const heard = once(socket, 'message', { signal: AbortSignal.timeout(120_000) });
      // Of the mesh, which is answered at once, and others, which upstream is asked about first.
      socket.send(buildQuery({ name: i % 2 === 0 ? 'web.app' : 'example.com', type: 1 }));
      const [answer] = (await heard) as [Buffer];
      return answer.readUInt16BE(2) & 0xf;
    });
    // Questions wait in the kernel, for both; nobody has read one yet.
    const drained = old.drain().then(() => old[Symbol.dispose]());
    const outcomes = await Promise.allSettled(answers);
    await drained;
    for (const socket of clients) socket.close();
    expect(outcomes).toEqual(clients.map(() => ({ status: 'fulfilled', value: 0 })));
  });

  /** By the resolver of the C library, as most programs have it. */
  async function lookup(name: string): Promise<string> {
    const folder = mkdtempSync(join(tmpdir(), 'ambit-resolv-'));
    const file = join(folder, 'resolv.conf');
    const search = ['app.svc.cluster.local', 'svc.cluster.local', 'cluster.local'].join(' ');
    writeFileSync(file, `nameserver ${CLUSTER_DNS.ip}\nsearch ${search}\noptions ndots:5 timeout:1\n`);
    const program =
      "require('dns').lookup(process.argv[1], { all: true }, (error, all) => console.log(error?.code ?? all.map(({ address }) => address).join()))";
    const script = 'mount --bind "$0" /etc/resolv.conf && exec "$1" -e "$2" "$3"';
    const inPod = [`--net=${pod.path}`, 'unshare', '--mount', 'sh', '-c', script, file];
    try {
      const ran = promisify(execFile)('nsenter', [...inPod, process.execPath, program, name]);
      return (await ran).stdout.trim();
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  test.each([
    ['A', 0],
    ['AAAA', 1],
  ])('a name is found whose question for %s went out before the capture came', async (_, first) => {
    using _dns = await start();
    clusterAnswers = asKubernetes;
    pod.nft(HALF_CAPTURED.replace('FIRST', String(first)));
    try {
      expect(await lookup('web.app.svc.cluster.local')).toBe('10.96.0.80');
      expect(upstream.asked.length).toBeGreaterThan(0);
    } finally {
      pod.run('nft', 'delete', 'table', 'ip', 'late');
      clusterAnswers = fromUpstream;
    }
  });

  test('no socket outlives it', async () => {
    const before = readdirSync('/proc/self/fd').length;
    const dns = await start(['127.0.0.1']);
    await Promise.all([
      askUdp(buildQuery({ name: 'example.com', type: 1 })),
      askTcp(buildQuery({ name: 'example.com', type: 1 })),
    ]);
    dns[Symbol.dispose]();
    // What was closed goes in its own time.
    for (let i = 0; i < 500 && readdirSync('/proc/self/fd').length !== before; i++)
      await systemClock.sleep(20);
    expect(readdirSync('/proc/self/fd').length).toBe(before);
    expect(pod.run('ss', '-Hlntu', 'sport', '=', ':15053').trim()).toBe('');
  });

  test('a question fails where no way leads to the resolver, and no more than that', async () => {
    using _ = await start();
    pod.run('ip', 'route', 'del', 'default');
    const question = buildQuery({ name: 'example.com', type: 1 });
    const { answer } = await askUdp(question, { ip: '127.0.0.1', port: 15_053 });
    pod.run('ip', 'route', 'add', 'default', 'via', '10.1.0.1');
    expect(readAnswer(answer).rcode).toBe(2);
    expect((await askUdp(question)).answer.subarray(-13).toString()).toBe('from upstream');
  });

  /** As the runtime leaves a pod that is over: without its interface, and with the loopback down. */
  test('a pod without any network is drained all the same', async () => {
    const dns = await start();
    pod.run('ip', 'link', 'del', 'eth0');
    pod.run('ip', 'link', 'set', 'lo', 'down');
    await dns.drain();
    dns[Symbol.dispose]();
  });
});

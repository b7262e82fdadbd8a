import { describe, expect, test } from '@jest/globals';
import { type Clock, systemClock } from '@ambit/core/clock';
import { freePort } from '@ambit/core/testing/free-port';
import { silentLogger } from '@ambit/core/log';
import { Interner } from '@ambit/model/intern';
import { readLocalMesh } from '@ambit/model/local-file';
import { MeshStore } from '@ambit/model/store';
import { InFlight } from './in-flight.ts';
import type { DnsLabels } from './recorder.ts';
import { nameserversOf } from './resolv-conf.ts';
import { startDns, type DnsDeps } from './start-dns.ts';
import { askTcp, askUdp, readAnswer } from './testing/client.ts';
import { type Answerer, FakeUpstream, framed } from './testing/fake-upstream.ts';
import { buildQuery } from './testing/messages.ts';

const MESH = `
workloads:
  - {uid: client, name: client, namespace: app, serviceAccount: s, workloadIps: [10.0.0.1], services: {}, canonicalName: client, canonicalRevision: v1}
services:
  - {name: web, namespace: app, hostname: web.app.svc.cluster.local, vips: ["/10.1.0.1", "/10.1.0.2", "/fd01::1"], ports: {}}
  - {name: many, namespace: app, hostname: many.app.svc.cluster.local, vips: [${Array.from({ length: 60 }, (_, i) => `"/10.2.0.${i}"`).join(', ')}], ports: {}}
`;

const POD = { name: 'client', namespace: 'app', serviceAccount: 's' };

/** Twenty times as fast as the wall's: for what is waited for in vain, and nothing else. */
const fastClock: Clock = {
  ...systemClock,
  monotonicMs: () => systemClock.monotonicMs() * 20,
  after: (ms, run) => systemClock.after(ms / 20, run),
};

interface Setup extends AsyncDisposable {
  readonly at: { ip: string; port: number };
  readonly upstream: FakeUpstream;
  readonly mesh: MeshStore;
  readonly counted: string[];
}

function meshWith(yaml: string, nodeName: string): MeshStore {
  const mesh = new MeshStore({ nodeName });
  mesh.apply(readLocalMesh(yaml, 'test.yaml', new Interner()));
  return mesh;
}

async function setUp(
  answer: Answerer,
  over: Partial<DnsDeps> = {},
  yaml = MESH,
  nodeName = '',
): Promise<Setup> {
  await using scope = new AsyncDisposableStack();
  const upstream = scope.use(await FakeUpstream.start(answer));
  const mesh = meshWith(yaml, nodeName);
  const at = { ip: '127.0.0.1', port: await freePort() };
  const counted: string[] = [];
  const count = (name: string) => (labels: DnsLabels) =>
    counted.push(`${name} ${Object.values(labels).join(' ')}`);
  const deps: DnsDeps = {
    mesh,
    dns: { clusterDomain: 'cluster.local', preferredNamespace: '', ipv6: true },
    listen: [at],
    nameservers: [{ ip: '127.0.0.1', port: upstream.port }],
    mark: undefined,
    inFlight: new InFlight(100),
    recorder: {
      request: count('request'),
      upstreamRequest: count('forward'),
      upstreamFailure: count('failure'),
      upstreamAnswer: count('answer'),
    },
    clock: systemClock,
    random: () => 0,
    log: silentLogger,
    ...over,
  };
  scope.use(await startDns(POD, undefined, deps));
  const owned = scope.move();
  return { at, upstream, mesh, counted, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

const SRV = 33;

/** The question sent back as an answer, with these bytes behind it and these flags. */
function echo(question: Buffer, extra: Uint8Array = new Uint8Array(), flags = 0x8180): Buffer {
  const answer = Buffer.concat([question, extra]);
  answer.writeUInt16BE(flags, 2);
  return answer;
}

const never: Answerer = () => [];

describe('names of the mesh', () => {
  test('are answered over UDP and TCP, with authority, in drawn order', async () => {
    await using setup = await setUp(never);
    const question = buildQuery({ name: 'web.app.svc.cluster.local', type: 1, id: 99 });
    const overUdp = await askUdp(setup.at, question);
    const [overTcp] = await askTcp(setup.at, [question]);
    const want = { rcode: 0, truncated: false, authoritative: true, ips: ['10.1.0.2', '10.1.0.1'] };
    expect(readAnswer(overUdp)).toEqual(want);
    expect(overTcp?.equals(overUdp)).toBe(true);
    expect(overUdp.readUInt16BE(0)).toBe(99);
    expect(setup.upstream.asked).toEqual([]);
    expect(setup.counted).toEqual(['request a udp client v1', 'request a tcp client v1']);
  });

  test('are answered to a pod that mesh state does not know yet, once it is complete', async () => {
    const others = MESH.replace('uid: client, name: client', 'uid: other, name: other, node: n1');
    await using setup = await setUp(never, {}, others, 'n1');
    setup.mesh.complete();
    const answer = await askUdp(setup.at, buildQuery({ name: 'web.app.svc.cluster.local', type: 1 }));
    expect(readAnswer(answer).ips).toEqual(['10.1.0.2', '10.1.0.1']);
    expect(setup.counted).toEqual(['request a udp client latest']);
  });

  test('that have more addresses than the client takes over UDP are truncated there', async () => {
    await using setup = await setUp(never);
    const name = 'many.app.svc.cluster.local';
    const small = readAnswer(await askUdp(setup.at, buildQuery({ name, type: 1 })));
    const large = readAnswer(
      await askUdp(setup.at, buildQuery({ name, type: 1, edns: { payloadBytes: 4096 } })),
    );
    const [tcp] = await askTcp(setup.at, [buildQuery({ name, type: 1 })]);
    expect([small.truncated, small.ips.length]).toEqual([true, 0]);
    expect([large.truncated, large.ips.length]).toEqual([false, 60]);
    expect(readAnswer(tcp ?? Buffer.alloc(12)).ips.length).toBe(60);
  });

  test('without IPv6 give an empty answer, not an unknown name', async () => {
    await using setup = await setUp(never);
    const answer = readAnswer(await askUdp(setup.at, buildQuery({ name: 'many.app', type: 28 })));
    expect(answer).toEqual({ rcode: 0, truncated: false, authoritative: true, ips: [] });
  });
});

describe('everything else', () => {
  test('is forwarded byte for byte, but for the ID, and so is the answer', async () => {
    const odd = Uint8Array.from({ length: 300 }, (_, i) => i & 255);
    await using setup = await setUp((question) => [echo(question, odd)]);
    const options = Uint8Array.of(0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8);
    const question = buildQuery({
      name: '_http._tcp.Example.COM',
      type: SRV,
      id: 7,
      edns: { payloadBytes: 1232, options },
    });
    const answer = await askUdp(setup.at, question);
    const [asked] = setup.upstream.asked;
    expect(asked?.bytes.subarray(2).equals(question.subarray(2))).toBe(true);
    expect(answer.equals(Buffer.concat([echo(Buffer.from(question)), odd]))).toBe(true);
    expect(setup.counted).toEqual([
      'request srv udp client v1',
      'forward srv udp client v1',
      'answer srv udp client v1',
    ]);
  });

  test('unknown hosts, and labels that no host has, go upstream too', async () => {
    await using setup = await setUp((question) => [echo(question, undefined, 0x8183)]);
    for (const name of ['nobody.example.com', 'web app', '']) {
      expect(readAnswer(await askUdp(setup.at, buildQuery({ name, type: 1 }))).rcode).toBe(3);
    }
  });

  test('goes over TCP when the client came over TCP, up to the largest answer', async () => {
    const large = new Uint8Array(60_000).fill(7);
    await using setup = await setUp((question) => [echo(question, large)]);
    const [answer] = await askTcp(setup.at, [buildQuery({ name: 'big.example.com', type: 16, id: 3 })]);
    expect([answer?.length, answer?.readUInt16BE(0)]).toEqual([60_033, 3]);
    expect(setup.upstream.asked.map(({ protocol }) => protocol)).toEqual(['tcp']);
  });

  test('a truncated answer stays truncated, and one too long for the client becomes so', async () => {
    await using setup = await setUp((question) =>
      question.includes('cut') ? [echo(question, undefined, 0x8380)] : [echo(question, new Uint8Array(1000))],
    );
    expect(
      readAnswer(await askUdp(setup.at, buildQuery({ name: 'cut.example.com', type: 16 }))).truncated,
    ).toBe(true);
    const small = await askUdp(setup.at, buildQuery({ name: 'long.example.com', type: 16 }));
    expect([small.length < 512, readAnswer(small).truncated]).toEqual([true, true]);
    const edns = { payloadBytes: 1232 };
    const large = await askUdp(setup.at, buildQuery({ name: 'long.example.com', type: 16, edns }));
    expect(large.length).toBeGreaterThan(1000);
  });

  test('an answer with another ID, to another question, or no answer at all is not believed', async () => {
    await using setup = await setUp((question) => {
      const forgedId = echo(question);
      forgedId.writeUInt16BE((question.readUInt16BE(0) + 1) & 0xffff, 0);
      const otherQuestion = echo(question);
      otherQuestion.write('x', 13);
      const upperCase = echo(question, Buffer.from('real'));
      upperCase.write('HOST', 13);
      return [
        Buffer.from('short'),
        forgedId,
        otherQuestion,
        question,
        echo(question.subarray(0, 12)),
        upperCase,
      ];
    });
    const answer = await askUdp(setup.at, buildQuery({ name: 'host.example.com', type: 16 }));
    expect(answer.subarray(-4).toString()).toBe('real');
  });

  test('is SERVFAIL when no resolver answers, after the next one was asked as well', async () => {
    await using silent = await FakeUpstream.start(never);
    const closed = await freePort();
    const nameservers = [silent.port, closed].map((port) => ({ ip: '127.0.0.1', port }));
    await using setup = await setUp(never, { nameservers, clock: fastClock });
    const question = buildQuery({ name: 'example.com', type: 1 });
    expect(readAnswer(await askUdp(setup.at, question)).rcode).toBe(2);
    expect(silent.asked.length).toBeGreaterThan(1);
    const [tcp] = await askTcp(setup.at, [question]);
    expect(tcp && readAnswer(tcp).rcode).toBe(2);
    expect(setup.counted.filter((line) => line.startsWith('failure'))).toHaveLength(2);
  });

  test('is answered by the second resolver when the first is silent', async () => {
    await using silent = await FakeUpstream.start(never);
    await using second = await FakeUpstream.start((question) => [echo(question)]);
    const nameservers = [silent.port, second.port].map((port) => ({ ip: '127.0.0.1', port }));
    await using setup = await setUp(never, { nameservers, clock: fastClock });
    expect(readAnswer(await askUdp(setup.at, buildQuery({ name: 'example.com', type: 1 }))).rcode).toBe(0);
  });

  test('is SERVFAIL without resolvers, and beyond the limit of questions under way', async () => {
    await using none = await setUp(never, { nameservers: [] });
    await using full = await setUp(never, { inFlight: new InFlight(1), clock: fastClock });
    const question = buildQuery({ name: 'example.com', type: 1 });
    expect(readAnswer(await askUdp(none.at, question)).rcode).toBe(2);
    const [first, second] = await askTcp(full.at, [
      buildQuery({ name: 'a.b', type: 1, id: 1 }),
      buildQuery({ name: 'c.d', type: 1, id: 2 }),
    ]);
    expect([first?.readUInt16BE(0), second?.readUInt16BE(0)]).toEqual([2, 1]);
    expect(full.upstream.asked).toHaveLength(1);
  });
});

describe('who asks', () => {
  test('is waited for, and answered once known', async () => {
    await using setup = await setUp(never, {}, 'services: []');
    const answer = askUdp(setup.at, buildQuery({ name: 'web.app', type: 1 }));
    await systemClock.sleep(20);
    setup.mesh.apply(readLocalMesh(MESH, 'test.yaml', new Interner()));
    expect(readAnswer(await answer).ips).toHaveLength(2);
  });

  test('and does not become known is answered SERVFAIL, whatever the question', async () => {
    await using setup = await setUp(() => [], { clock: fastClock }, 'services: []');
    expect(readAnswer(await askUdp(setup.at, buildQuery({ name: 'example.com', type: 1 }))).rcode).toBe(2);
    expect(setup.upstream.asked).toEqual([]);
  });
});

describe('a message', () => {
  test.each([
    ['that is an answer is FORMERR', 2, 0x81, 1],
    ['of another kind is NOTIMP', 2, 0x20, 4],
    ['without a question is FORMERR', 5, 0, 1],
  ])('%s', async (_, at, value, rcode) => {
    await using setup = await setUp(never);
    const bytes = buildQuery({ name: 'web', type: 1, id: 5 });
    bytes[at] = value;
    const answer = await askUdp(setup.at, bytes);
    expect([answer.readUInt16BE(0), answer.readUInt16BE(2) & 15]).toEqual([5, rcode]);
  });
});

describe('over TCP', () => {
  test('questions of one connection do not wait for each other', async () => {
    await using setup = await setUp((question) => [echo(question)]);
    const questions = [
      buildQuery({ name: 'example.com', type: 1, id: 1 }),
      buildQuery({ name: 'web.app', type: 1, id: 2 }),
      buildQuery({ name: 'other.example.com', type: 16, id: 3 }),
    ];
    const answers = await askTcp(setup.at, questions);
    expect(answers[0]?.readUInt16BE(0)).toBe(2);
    expect(answers.map((answer) => answer.readUInt16BE(0)).sort((a, b) => a - b)).toEqual([1, 2, 3]);
  });

  test('more questions than may wait are all answered in the end', async () => {
    await using setup = await setUp((question) => [echo(question)]);
    const questions = Array.from({ length: 100 }, (_, id) =>
      buildQuery({ name: `h${id}.example.com`, type: 1, id }),
    );
    const answers = await askTcp(setup.at, questions);
    expect(answers.map((answer) => answer.readUInt16BE(0)).sort((a, b) => a - b)).toEqual(
      questions.map((_, id) => id),
    );
  });

  test.each([
    ['a question that does not end is cut off', Uint8Array.of(0, 40, 1)],
    ['a silent connection is cut off', new Uint8Array()],
    ['an empty message is cut off', Uint8Array.of(0, 0)],
    ['a message longer than a question is cut off', Uint8Array.of(0x20, 0)],
    ['a message shorter than a header is cut off', framed(Uint8Array.of(1, 2, 3))],
  ])('%s', async (_, bytes) => {
    await using setup = await setUp(never, { clock: fastClock });
    expect(await askTcp(setup.at, [bytes], { raw: true })).toEqual([]);
  });
});

test('what was stopped listens no more', async () => {
  const setup = await setUp(never);
  const waiting = askTcp(setup.at, [buildQuery({ name: 'example.com', type: 1 })]);
  await systemClock.sleep(20);
  await setup[Symbol.asyncDispose]();
  expect(await waiting).toEqual([]);
  await using again = await FakeUpstream.start(never, setup.at.ip, setup.at.port);
  expect(again.port).toBe(setup.at.port);
});

test('a taken port fails, and leaves nothing open', async () => {
  await using taken = await FakeUpstream.start(never);
  await expect(setUp(never, { listen: [{ ip: '127.0.0.1', port: taken.port }] })).rejects.toThrow(
    'EADDRINUSE',
  );
});

describe('resolv.conf', () => {
  test.each([
    ['', []],
    ['nameserver 10.96.0.10\nsearch a b\noptions ndots:5\n', ['10.96.0.10']],
    [
      '#nameserver 1.1.1.1\n nameserver\tfd00::0:10  # ours\nnameserver fe80::1%eth0\nnameserver nonsense',
      ['fd00::10'],
    ],
    [
      'nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4',
      ['10.0.0.1', '10.0.0.2', '10.0.0.3'],
    ],
  ])('%j', (text, want) => expect(nameserversOf(text).map(({ ip }) => ip)).toEqual(want));
});

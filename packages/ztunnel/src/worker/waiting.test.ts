import { generateKeyPairSync } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { ADDRESS_TYPE_URL, createWorkload, encodeAddress } from '@ambit/api/workload';
import { systemClock } from '@ambit/core/clock';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { Interner } from '@ambit/model/intern';
import { readLocalMesh } from '@ambit/model/local-file';
import { MeshStore } from '@ambit/model/store';
import { meshDeltaMessage } from '../threads/mesh-delta.ts';
import type { CertificateMessage } from '../threads/messages.ts';
import { WorkerCertificates } from './certificates.ts';
import { Demands } from './demands.ts';
import { EventCounters } from './event-counters.ts';
import { CERTIFICATE_WAIT_MS, FAULT_LOG_MS, MAX_EVENT_SERIES } from './limits.ts';
import { MeshFeed } from './mesh-feed.ts';
import { MeshWaits } from '@ambit/model/mesh-waits';
import { Names, RESOLVE_TIMEOUT_MS, RESOLVED_TTL_MS } from '@ambit/core/names';
import { readRequest } from './socks.ts';
import { UNKNOWN_PARTY } from './traffic.ts';

const WEB = 'spiffe://td/ns/shop/sa/web';
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const certificate = (over: Partial<CertificateMessage> = {}): CertificateMessage => ({
  kind: 'certificate',
  identity: WEB,
  chainPem: [],
  rootsPem: [],
  privateKey,
  notBeforeMs: 0,
  notAfterMs: Number.MAX_SAFE_INTEGER,
  serial: '1',
  ...over,
});
const meshOf = (yaml: string) => readLocalMesh(yaml, 'test', new Interner());
const workload = (name: string, ip: string, more = '') =>
  `{uid: ${name}, name: ${name}, namespace: shop, serviceAccount: ${name}, workloadIps: [${ip}], services: {}${more}}`;

describe('certificates of a worker', () => {
  const setup = () => {
    const clock = new FakeClock();
    const asked: string[] = [];
    return { clock, asked, certificates: new WorkerCertificates(clock, (identity) => asked.push(identity)) };
  };

  test('are asked for once, however many wait, and are one object for all', async () => {
    const { asked, certificates } = setup();
    const waiting = [certificates.get(WEB), certificates.get(WEB)];
    certificates.accept(certificate());
    const [first, second] = await Promise.all(waiting);
    expect(first).toBe(second);
    expect(await certificates.get(WEB)).toBe(first);
    expect(asked).toEqual([WEB]);
  });

  test('that cannot be had fail everybody who waits, and are asked for again by the next', async () => {
    const { asked, certificates } = setup();
    const waiting = certificates.get(WEB);
    certificates.failed(WEB, 'the CA is away');
    await expect(waiting).rejects.toThrow(`no certificate for ${WEB}: the CA is away`);
    void certificates.get(WEB);
    expect(asked).toEqual([WEB, WEB]);
  });

  test('are not waited for longer than their time', async () => {
    const { clock, certificates } = setup();
    const late = expect(certificates.get(WEB)).rejects.toThrow('not here after 10000 ms');
    await clock.advance(CERTIFICATE_WAIT_MS);
    await late;
  });

  test('that have expired, or were forgotten, are asked for', async () => {
    const { clock, asked, certificates } = setup();
    certificates.accept(certificate({ notAfterMs: clock.now() + 1_000 }));
    await certificates.get(WEB);
    await clock.advance(1_000);
    void certificates.get(WEB);
    certificates.accept(certificate({ serial: '2' }));
    expect(certificates.peek(WEB)?.serial).toBe('2');
    certificates.forget(WEB);
    void certificates.get(WEB);
    expect(asked).toEqual([WEB, WEB]);
  });
});

describe('waiting for mesh state', () => {
  test('ends with the change that brings what was waited for', async () => {
    const mesh = new MeshStore({ nodeName: '' });
    const waits = new MeshWaits(mesh, new FakeClock());
    const found = waits.until(() => mesh.workloadByUid('web'), 1_000);
    mesh.apply(meshOf(`workloads: [${workload('db', '10.0.0.2')}]`));
    mesh.apply(meshOf(`workloads: [${workload('web', '10.0.0.1')}]`));
    expect((await found)?.name).toBe('web');
  });

  test('and has room again for another when nobody wants it any more', async () => {
    const waits = new MeshWaits(new MeshStore({ nodeName: '' }), new FakeClock(), 1);
    const nothing = () => undefined;
    const first = new AbortController();
    const left = waits.until(nothing, 1_000, first.signal);
    expect(await waits.until(nothing, 1_000)).toBeUndefined();
    first.abort();
    expect(await left).toBeUndefined();
    let asked = 0;
    const probe = () => (++asked > 1 ? 'found' : undefined);
    const second = waits.until(probe, 1_000);
    waits.askAgain();
    expect(await second).toBe('found');
    expect(await waits.until(nothing, 1_000, first.signal)).toBeUndefined();
  });

  test('ends with a fault of its own, for which the change and the others are none the worse', async () => {
    const mesh = new MeshStore({ nodeName: '' });
    const waits = new MeshWaits(mesh, new FakeClock());
    let asked = 0;
    const broken = waits.until(() => {
      asked += 1;
      if (asked > 1) throw new TypeError('nobody thought of it');
      return undefined;
    }, 1_000);
    const found = waits.until(() => mesh.workloadByUid('web'), 1_000);
    mesh.apply(meshOf(`workloads: [${workload('web', '10.0.0.1')}]`));
    await expect(broken).rejects.toThrow('nobody thought of it');
    expect((await found)?.name).toBe('web');
    mesh.apply(meshOf(`workloads: [${workload('db', '10.0.0.2')}]`));
    expect(asked).toBe(2);
  });

  test('ends in time', async () => {
    const clock = new FakeClock();
    const waits = new MeshWaits(new MeshStore({ nodeName: '' }), clock);
    const found = waits.until(() => undefined, 1_000);
    await clock.advance(1_000);
    expect(await found).toBeUndefined();
  });
});

describe('mesh state that arrives', () => {
  const upsert = (i: number) => ({
    name: `w${i}`,
    value: encodeAddress({
      type: {
        $case: 'workload',
        value: createWorkload({
          uid: `w${i}`,
          name: `w${i}`,
          namespace: 'shop',
          addresses: [Uint8Array.of(10, 0, i >> 8, i & 255)],
        }),
      },
    }),
  });

  test('in a large change leaves others their turn, and is told when it is whole', async () => {
    const mesh = new MeshStore({ nodeName: '' });
    const applied: number[] = [];
    const feed = new MeshFeed(mesh, systemClock, ({ version }) => applied.push(version));
    const upserts = Array.from({ length: 5_000 }, (_, i) => upsert(i));
    feed.push(meshDeltaMessage(ADDRESS_TYPE_URL, { upserts, removed: [] }, 1));
    feed.push(meshDeltaMessage(ADDRESS_TYPE_URL, { upserts: [], removed: ['w7'] }, 2));
    expect(applied).toEqual([]);
    let turns = 0;
    while (applied.length < 2) {
      turns += 1;
      await nextTurn();
    }
    expect(turns).toBeGreaterThan(2);
    expect(applied).toEqual([1, 2]);
    expect([...mesh.workloads()]).toHaveLength(4_999);
    expect(mesh.workloadByUid('w7')).toBeUndefined();
  });

  test('in a small change is there at once', () => {
    const mesh = new MeshStore({ nodeName: '' });
    const feed = new MeshFeed(mesh, systemClock, () => undefined);
    feed.push(meshDeltaMessage(ADDRESS_TYPE_URL, { upserts: [upsert(1)], removed: [] }, 1));
    expect(mesh.workloadByUid('w1')?.name).toBe('w1');
  });
});

describe('addresses on demand', () => {
  const setup = () => {
    const clock = new FakeClock();
    const mesh = new MeshStore({ nodeName: '' });
    const waits = new MeshWaits(mesh, clock);
    const asked: string[] = [];
    mesh.apply(meshOf(`workloads: [${workload('web', '10.0.0.1')}]`));
    const source = mesh.workloadByUid('web');
    if (!source) throw new Error('no source');
    const request = { source, sourceIp: '10.0.0.1', target: { ip: '10.0.0.2', port: 80 }, network: '' };
    return { mesh, asked, request, demands: new Demands(mesh, waits, (key) => asked.push(key)) };
  };

  test('are asked for once by all who need them, and what they need in turn after them', async () => {
    const { mesh, asked, request, demands } = setup();
    const both = Promise.all([demands.forRoute(request), demands.forRoute(request)]);
    mesh.apply(
      meshOf(
        `workloads: [${workload('db', '10.0.0.2', ', waypoint: {destination: /10.0.0.3, hboneMtlsPort: 15008}')}]`,
      ),
    );
    await nextTurn();
    mesh.apply(meshOf(`workloads: [${workload('waypoint', '10.0.0.3')}]`));
    await both;
    expect(asked).toEqual(['/10.0.0.2', '/10.0.0.3']);
  });

  test('that nobody has are not asked for again', async () => {
    const { asked, request, demands } = setup();
    const first = demands.forRoute(request);
    demands.answeredWithNothing(['/10.0.0.2', '/192.0.2.1']);
    await first;
    await demands.forRoute(request);
    await demands.forAddress('', '10.0.0.2');
    expect(asked).toEqual(['/10.0.0.2']);
  });
});

describe('names of workloads without an address', () => {
  test('are asked for once in a while', async () => {
    const clock = new FakeClock();
    const asked: string[] = [];
    const names = new Names(clock, async (name) => {
      asked.push(name);
      return ['::ffff:192.0.2.1', 'no address'];
    });
    expect(await Promise.all([names.resolve('a.test'), names.resolve('a.test')])).toEqual([
      ['192.0.2.1'],
      ['192.0.2.1'],
    ]);
    await clock.advance(RESOLVED_TTL_MS);
    await names.resolve('a.test');
    expect(asked).toEqual(['a.test', 'a.test']);
  });

  test('have none when nobody answers, or says no', async () => {
    const clock = new FakeClock();
    const silent = new Names(clock, () => new Promise(() => undefined)).resolve('a.test');
    await clock.advance(RESOLVE_TIMEOUT_MS);
    expect(await silent).toEqual([]);
    expect(await new Names(clock, () => Promise.reject(new Error('NXDOMAIN'))).resolve('a.test')).toEqual([]);
  });
});

describe('a SOCKS request', () => {
  const cases: Record<string, { bytes: number[]; want: unknown }> = {
    'to IPv4': {
      bytes: [5, 1, 0, 1, 10, 0, 0, 1, 0, 80],
      want: { kind: 'target', host: '10.0.0.1', isName: false, port: 80 },
    },
    'to IPv6': {
      bytes: [5, 1, 0, 4, 0xfd, ...Array<number>(14).fill(0), 1, 1, 0],
      want: { kind: 'target', host: 'fd00::1', isName: false, port: 256 },
    },
    'to a name': {
      bytes: [5, 1, 0, 3, 1, 0x61, 0, 80],
      want: { kind: 'target', host: 'a', isName: true, port: 80 },
    },
    'to a name that is none': {
      bytes: [5, 1, 0, 3, 1, 0, 0, 80],
      want: { kind: 'refused', reply: 'address' },
    },
    'to an empty name': { bytes: [5, 1, 0, 3, 0, 0, 80], want: { kind: 'refused', reply: 'address' } },
    'of a type that is none': { bytes: [5, 1, 0, 9, 1, 2, 3], want: { kind: 'refused', reply: 'address' } },
    'to bind': { bytes: [5, 2, 0, 1, 10, 0, 0, 1, 0, 80], want: { kind: 'refused', reply: 'command' } },
    'in pieces': { bytes: [5, 1, 0, 1, 10, 0], want: { kind: 'incomplete' } },
    'with more behind it': {
      bytes: [5, 1, 0, 1, 10, 0, 0, 1, 0, 80, 9],
      want: { kind: 'refused', reply: 'command' },
    },
  };

  test.each(Object.entries(cases))('%s', (_, { bytes, want }) => {
    expect(readRequest(Buffer.from(bytes))).toEqual(want);
  });
});

test('what is counted beside connections is bounded', () => {
  const events = new EventCounters();
  const traffic = {
    reporter: 'source',
    source: UNKNOWN_PARTY,
    destination: UNKNOWN_PARTY,
    service: undefined,
    mutualTls: false,
  } as const;
  for (let i = 0; i < MAX_EVENT_SERIES + 10; i++) events.resolved(traffic, `host-${i}`);
  events.resolved(traffic, 'host-0');
  events.revoked('source');
  const [dns, crl] = events.report();
  expect(dns?.samples).toHaveLength(MAX_EVENT_SERIES);
  expect(dns?.samples[0]).toMatchObject({ labels: expect.arrayContaining(['host-0']), value: 2 });
  expect(dns?.labelNames).toHaveLength(dns?.samples[0]?.labels.length ?? 0);
  expect(dns?.labelNames[0]).toBe('source_workload');
  expect(crl?.samples).toEqual([{ labels: ['source'], value: 1 }]);
});

test('faults are all counted, and told of in the log once in a while', () => {
  const events = new EventCounters();
  const nowMs = 500;
  const told = [0, 1, FAULT_LOG_MS - 1, FAULT_LOG_MS, FAULT_LOG_MS + 1].map((ms) => events.fault(nowMs + ms));
  expect(told).toEqual([true, false, false, true, false]);
  expect(events.report().at(-1)?.samples).toEqual([{ labels: [], value: 5 }]);
});

/**
 * For tests: one data worker in this process, with a scripted control thread, two pods whose traffic is redirected to it, and
 * a machine outside the mesh, all on one link.
 */
import { once } from 'node:events';
import { createServer, type Server, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { ADDRESS_TYPE_URL } from '@ambit/api/workload';
import { type Clock, type Random, systemClock, systemRandom } from '@ambit/core/clock';
import { familyOf } from '@ambit/core/ip';
import { LogRoot, parseLogFilter } from '@ambit/core/log';
import { openTunnel, type Tunnel } from '@ambit/hbone/client';
import { StreamDuplex } from '@ambit/http/h2/stream-duplex';
import { DEFAULT_SESSION_OPTIONS, H2Session, type SessionHandler } from '@ambit/http/h2/session';
import type { H2Stream, StreamHandler } from '@ambit/http/h2/stream';
import { fieldValue, type HeaderFields } from '@ambit/http/header-fields';
import { acceptFields } from '@ambit/hbone/headers';
import type { HeaderField } from '@ambit/http/hpack/encoder';
import { QueueBudget } from '@ambit/hbone/queue-budget';
import { TunnelServer } from '@ambit/hbone/server';
import { DuplexTransport } from '@ambit/http/transport/duplex-transport';
import { acceptHandles } from '@ambit/http/transport/native';
import type { CertificateAuthority } from '@ambit/identity/certificate-authority';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';
import {
  clientTlsOptions,
  serverTlsOptions,
  verifyClientPeer,
  verifyServerPeer,
} from '@ambit/identity/tls-context';
import type { WorkloadCertificate } from '@ambit/identity/workload-certificate';
import { listenTcp, tcpSocket } from '@ambit/linux/sockets';
import { TestNamespaces, type TestNetns } from '@ambit/linux/testing/namespaces';
import { Interner } from '@ambit/model/intern';
import { readLocalMesh } from '@ambit/model/local-file';
import type { MeshDelta } from '@ambit/model/store';
import { certificateMessage } from '../control/certificates.ts';
import { localFileMessage, meshDeltaMessage } from '../threads/mesh-delta.ts';
import type { ConnectionReport, MetricReport, PodInfo, WorkerToControl } from '../threads/messages.ts';
import type { WorkerOptions } from '../threads/worker-options.ts';
import { AccessOutput } from '../worker/access-output.ts';
import { type Lookup, Names } from '@ambit/core/names';
import { TRAFFIC_LABELS } from '../worker/traffic.ts';
import { DataWorker } from '../worker/worker.ts';

export const OUTSIDE_IP = '10.9.0.1';
export const ALICE_IP = '10.9.0.2';
export const BOB_IP = '10.9.0.3';
export const TRUST_DOMAIN = 'td';
export const ALICE = `spiffe://${TRUST_DOMAIN}/ns/shop/sa/alice`;
export const BOB = `spiffe://${TRUST_DOMAIN}/ns/shop/sa/bob`;
const MARK = 0x539;
const RETURN_MARK = 0x111;
const WAIT_MS = 25_000;

export const OPTIONS: WorkerOptions = {
  index: 0,
  workers: 1,
  mode: 'shared',
  network: '',
  nodeName: '',
  clusterId: 'Kubernetes',
  trustDomain: TRUST_DOMAIN,
  ipv6: true,
  ports: { inbound: 15_008, inboundPlaintext: 15_006, outbound: 15_001, socks5: 15_080 },
  illegalPorts: [15_001, 15_006, 15_008, 15_080],
  packetMark: MARK,
  portReuse: false,
  bulkTable: undefined,
  originalSource: 'must',
  localhostApplicationTunnel: true,
  responseBaggage: true,
  onDemand: false,
  missingPolicy: 'refuse',
  logVerdictsAtInfo: false,
  keepalive: { idleMs: 180_000, intervalMs: 180_000, probes: 9, userTimeout: false },
  http2: {
    streamWindowBytes: 4_194_304,
    connectionWindowBytes: 16_777_216,
    frameBytes: 1_048_576,
    maxStreamsPerConnection: 100,
    unusedReleaseMs: 300_000,
  },
  tls: { tls12: false, postQuantumOnly: false, preferredCipher: 'aes-128' },
  log: { filter: 'info', format: 'json' },
};

const noNames: Lookup = () => Promise.resolve([]);

export type Place = 'alice' | 'bob' | 'outside';

/** One line of the access log. */
export type AccessFields = Readonly<Record<string, string | number>>;

export class WorkerNetwork implements AsyncDisposable {
  readonly #namespaces = new TestNamespaces();
  readonly #places: Readonly<Record<Place, TestNetns>>;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly said: WorkerToControl[] = [];
  readonly accessLog: AccessFields[] = [];
  readonly worker: DataWorker;
  readonly ca: CertificateAuthority;
  /** Identities that the CA refuses. */
  readonly refused = new Set<string>();
  /** The last certificate of each identity. */
  readonly issued = new Map<string, WorkloadCertificate>();
  #version = 0;
  #questions = 0;
  #demands: Readonly<Record<string, string>> = {};

  /** @param lookup - The system's resolver. */
  static async create(
    over: Partial<WorkerOptions> = {},
    lookup: Lookup = noNames,
    clock = systemClock,
    random = systemRandom,
  ): Promise<WorkerNetwork> {
    return new WorkerNetwork(await createSelfSignedCa({ clock: systemClock }), over, lookup, clock, random);
  }

  private constructor(
    ca: CertificateAuthority,
    over: Partial<WorkerOptions>,
    lookup: Lookup,
    clock: Clock,
    random: Random,
  ) {
    this.ca = ca;
    const { create } = this.#namespaces;
    const make = create.bind(this.#namespaces);
    this.#places = { outside: make(), alice: make(), bob: make() };
    const { outside, alice, bob } = this.#places;
    outside.run('ip', 'link', 'add', 'br0', 'type', 'bridge');
    outside.run('ip', 'address', 'add', `${OUTSIDE_IP}/24`, 'dev', 'br0');
    outside.run('ip', '-6', 'address', 'add', `${ip6Of(OUTSIDE_IP)}/64`, 'dev', 'br0', 'nodad');
    outside.run('ip', 'link', 'set', 'br0', 'up');
    plug(outside, alice, 'alice0', ALICE_IP);
    plug(outside, bob, 'bob0', BOB_IP);
    const filter = parseLogFilter('info') ?? { base: 'info', scopes: new Map() };
    this.worker = new DataWorker({
      options: { ...OPTIONS, ...over },
      post: (message) => this.#hear(structuredClone(message)),
      clock,
      random,
      names: new Names(systemClock, lookup),
      log: new LogRoot({
        filter: { base: 'off', scopes: new Map() },
        format: 'json',
        destination: { write: () => undefined },
      }),
      accessLog: new AccessOutput({
        filter,
        format: 'json',
        clock: systemClock,
        output: {
          write: (line) => void this.accessLog.push(JSON.parse(line) as AccessFields),
          flush: () => undefined,
          flushSync: () => undefined,
        },
      }),
    });
  }

  netns(place: Place): TestNetns {
    return this.#places[place];
  }

  /** Tells the worker a change of mesh state. */
  apply(delta: MeshDelta): void {
    this.#version += 1;
    this.worker.receive(localFileMessage(delta, this.#version));
  }

  mesh(yaml: string): void {
    this.apply(readLocalMesh(yaml, 'test', new Interner()));
  }

  /** A mesh of alice and bob, both on one node. */
  meshOnNode(node: string, clusterId = 'Kubernetes'): void {
    const common = `namespace: shop, trustDomain: td, protocol: HBONE, node: ${node}, clusterId: ${clusterId}, services: {}`;
    this.mesh(`
workloads:
  - {uid: a, name: alice-0, serviceAccount: alice, workloadIps: [${ALICE_IP}], ${common}}
  - {uid: b, name: bob-0, serviceAccount: bob, workloadIps: [${BOB_IP}], ${common}}
`);
  }

  /** Starts a pod and waits for the answer. */
  async start(
    place: 'alice' | 'bob',
    over: { readonly inboundOnly?: boolean } = {},
  ): Promise<WorkerToControl> {
    const pod: PodInfo = { uid: place, name: `${place}-0`, namespace: 'shop', serviceAccount: place };
    const from = this.said.length;
    this.worker.receive({
      kind: 'start-pod',
      pod,
      netnsFd: this.netns(place).fd,
      identity: place === 'alice' ? ALICE : BOB,
      inboundOnly: over.inboundOnly ?? false,
    });
    return await this.eventually('pod started or failed', () =>
      this.said.slice(from).find(({ kind }) => kind === 'pod-started' || kind === 'pod-failed'),
    );
  }

  async stop(uid: string, deadlineMs: number): Promise<void> {
    const from = this.said.length;
    this.worker.receive({ kind: 'stop-pod', uid, deadlineMs });
    await this.eventually('pod stopped', () =>
      this.said.slice(from).find((message) => message.kind === 'pod-stopped' && message.uid === uid),
    );
  }

  /** A server; sockets get `onConnection`. */
  serve(place: Place, port: number, onConnection: (socket: Socket) => void, ip = '0.0.0.0'): Server {
    const { fd } = listenTcp({ netnsFd: this.netns(place).fd, ip, port, backlog: 128 });
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#keep(socket);
      onConnection(socket);
    }).listen({ fd });
    this.#servers.push(server);
    return server;
  }

  /** Answers what the worker asks for on demand: with mesh state, or with nothing. */
  answerDemands(answers: Readonly<Record<string, string>>): void {
    this.#demands = answers;
  }

  /** An application's connection, with what it has received so far. */
  async connect(from: Place, ip: string, port: number): Promise<Talk> {
    const fd = tcpSocket({ netnsFd: this.netns(from).fd, family: familyOf(ip) });
    const socket = new Socket({ fd, allowHalfOpen: true });
    this.#keep(socket);
    socket.connect(port, ip);
    await once(socket, 'connect');
    return new Talk(socket);
  }

  connections(): readonly ConnectionReport[] {
    const answer = this.#ask('connections');
    return 'connections' in answer ? answer.connections : [];
  }

  /** Samples of a metric, each with its labels by name. */
  metric(
    name: string,
  ): readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[] {
    const answer = this.#ask('metrics');
    const reports: readonly MetricReport[] = 'metrics' in answer ? answer.metrics : [];
    return (reports.find((report) => report.name === name)?.samples ?? []).map(({ labels, value }) => ({
      labels: Object.fromEntries(labels.map((label, i) => [TRAFFIC_LABELS[i] ?? '', label])),
      value,
    }));
  }

  /** The last access line of that direction, once there are `count`. */
  async logged(direction: 'inbound' | 'outbound', count = 1): Promise<AccessFields> {
    return await this.eventually(`${count} ${direction} access lines`, () => {
      const lines = this.accessLog.filter((line) => line['direction'] === direction);
      return lines.length >= count ? lines[count - 1] : undefined;
    });
  }

  async eventually<T>(what: string, probe: () => T | undefined): Promise<T> {
    // Turns and not time: after a stall there are as many left for what has waited for them.
    for (let leftMs = WAIT_MS; leftMs > 0; leftMs -= 5) {
      const found = probe();
      if (found !== undefined) return found;
      await systemClock.sleep(5);
    }
    throw new Error(
      `in vain waited for ${what}; said ${JSON.stringify(this.said)}; log ${JSON.stringify(this.accessLog)}`,
    );
  }

  /** A tunnel of a client that speaks HBONE itself. */
  async dial(from: Place, identity: string, ip: string): Promise<Tunnel> {
    return await openTunnel(
      {
        to: { ip, port: OPTIONS.ports.inbound },
        fd: tcpSocket({ netnsFd: this.netns(from).fd, family: 4 }),
        tls: clientTlsOptions(await this.#issue(identity)),
        verify: (socket) => verifyServerPeer(socket, [ALICE, BOB]),
        session: { ...DEFAULT_SESSION_OPTIONS, clock: systemClock },
      },
      { onClosed: () => undefined },
    );
  }

  /** Sends a CONNECT and gives what is answered. */
  request(tunnel: Tunnel, authority: string, more: readonly string[] = []): Promise<Answer> {
    return this.send(tunnel, [':method', 'CONNECT', ':authority', authority, ...more]);
  }

  /** Sends names and values, one after the other. */
  send({ session }: Tunnel, fields: readonly string[]): Promise<Answer> {
    return new Promise((resolve, reject) => {
      session.request(pairs(fields), {
        ...NOBODY,
        onHeaders: (_, answer) => resolve({ status: fieldValue(answer, ':status') ?? '', fields: answer }),
        onReset: (_, error) => reject(error),
      });
    });
  }

  /** Sends a CONNECT and does not wait. */
  open({ session }: Tunnel, authority: string): H2Stream {
    return session.request(pairs([':method', 'CONNECT', ':authority', authority]), NOBODY);
  }

  /**
   * A gateway to another network outside, and what is behind it in one: streams that end in a tunnel of `inner`, whose
   * application says `prefix` before each piece that it heard.
   */
  async gateway(identity: string, inner: string, prefix: string): Promise<TestGateway> {
    const gateway = new TestGateway(await this.#issue(identity), await this.#issue(inner), prefix);
    const { fd } = listenTcp({
      netnsFd: this.netns('outside').fd,
      ip: '0.0.0.0',
      port: OPTIONS.ports.inbound,
    });
    const server = createServer().listen({ fd });
    this.#servers.push(server);
    acceptHandles(
      server,
      (handle) => gateway.server.accept(handle),
      () => undefined,
    );
    return gateway;
  }

  /** What listens in a place, by port. */
  listening(place: Place): readonly number[] {
    const lines = this.netns(place).run('ss', '-Hltn').split('\n');
    return lines.flatMap((line) => (line === '' ? [] : [Number(/:(\d+)\s/.exec(line)?.[1])]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.worker.receive({ kind: 'drain', deadlineMs: 0 });
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
    await systemClock.sleep(20);
    this.#namespaces[Symbol.dispose]();
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => this.#sockets.delete(socket));
  }

  #ask(what: 'connections' | 'metrics'): Extract<WorkerToControl, { kind: 'answer' }> {
    this.#questions += 1;
    const id = this.#questions;
    this.worker.receive({ kind: 'ask', id, question: { what } });
    const answer = this.said.find((message) => message.kind === 'answer' && message.id === id);
    if (answer?.kind !== 'answer') throw new Error('no answer');
    return answer;
  }

  #hear(message: WorkerToControl): void {
    this.said.push(message);
    if (message.kind === 'need-address') setImmediate(() => this.#answerDemand(message.key));
    if (message.kind !== 'need-certificate') return;
    const { identity } = message;
    if (this.refused.has(identity)) {
      this.worker.receive({ kind: 'certificate-failed', identity, reason: 'the CA says no' });
      return;
    }
    void this.#issue(identity).then((certificate) => this.worker.receive(certificateMessage(certificate)));
  }

  #answerDemand(key: string): void {
    const yaml = this.#demands[key];
    if (yaml !== undefined) {
      this.mesh(yaml);
      return;
    }
    this.#version += 1;
    const nothing = { upserts: [], removed: [key] };
    this.worker.receive(meshDeltaMessage(ADDRESS_TYPE_URL, nothing, this.#version));
  }

  async #issue(identity: string): Promise<WorkloadCertificate> {
    const certificate = await this.ca.issueWorkload(identity);
    this.issued.set(identity, certificate);
    return certificate;
  }
}

export interface Answer {
  readonly status: string;
  readonly fields: HeaderFields;
}

const NOBODY: StreamHandler = {
  onHeaders() {},
  onData() {},
  onEnd() {},
  onReset() {},
  onWritable() {},
};

function pairs(fields: readonly string[]): readonly HeaderField[] {
  return fields.flatMap((name, i) =>
    i % 2 === 0 ? [{ name, value: fields[i + 1] ?? '', indexed: false }] : [],
  );
}

export class TestGateway {
  /** Authorities of the outer tunnel's streams. */
  readonly outer: string[] = [];
  /** Authority and `x-forwarded-network` of the inner ones. */
  readonly inner: (readonly [string | undefined, string | undefined])[] = [];
  readonly server: TunnelServer;
  readonly #session = { ...DEFAULT_SESSION_OPTIONS, clock: systemClock };
  #openInner = 0;

  constructor(own: WorkloadCertificate, inner: WorkloadCertificate, prefix: string) {
    this.server = new TunnelServer({
      session: this.#session,
      budget: new QueueBudget(1_000_000),
      tls: () => Promise.resolve(serverTlsOptions(own)),
      verify: (socket) => verifyClientPeer(socket, [TRUST_DOMAIN]),
      onRefused: () => undefined,
      onStream: (_, stream, fields) => {
        this.outer.push(fieldValue(fields, ':authority') ?? '');
        stream.respond(acceptFields(''), false);
        const duplex = new StreamDuplex(stream);
        duplex.on('error', () => undefined);
        this.#serveInner(new TLSSocket(duplex, { isServer: true, ...serverTlsOptions(inner) }), prefix);
        return stream.handler;
      },
    });
  }

  /** Inner tunnels that are open. */
  openInner(): number {
    return this.#openInner;
  }

  #serveInner(tls: TLSSocket, prefix: string): void {
    this.#openInner += 1;
    tls.on('error', () => undefined).once('close', () => (this.#openInner -= 1));
    const handler: SessionHandler = {
      onClosed: () => undefined,
      onStream: (stream, fields) => {
        this.inner.push([fieldValue(fields, ':authority'), fieldValue(fields, 'x-forwarded-network')]);
        stream.respond(acceptFields('k8s.namespace.name=shop,k8s.deployment.name=bob'), false);
        return {
          ...NOBODY,
          onData: (_, bytes) => {
            stream.write(Buffer.concat([Buffer.from(prefix), bytes]));
            stream.credit(bytes.length);
          },
          onEnd: () => stream.end(),
        };
      },
    };
    tls.once(
      'secure',
      () => new H2Session('server', new DuplexTransport(tls, 'inner'), handler, this.#session),
    );
  }
}

/** One end of an application's connection. */
export class Talk {
  readonly socket: Socket;
  readonly #chunks: Buffer[] = [];
  /** How it ended: in order, or with an error's code. */
  readonly ended: Promise<string>;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => void this.#chunks.push(chunk));
    this.ended = new Promise((resolve) => {
      socket.once('end', () => resolve('end'));
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      socket.once('close', () => resolve('close'));
    });
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString();
  }

  /** Says something and waits for as many bytes of answer, or the end. */
  async ask(words: string, bytes = words.length): Promise<string> {
    const wanted = this.text.length + bytes;
    const from = this.text.length;
    const answered = new Promise<void>((resolve) => {
      const look = () => {
        if (this.text.length >= wanted) resolve();
      };
      this.socket.on('data', look);
      void this.ended.then(() => resolve());
    });
    this.socket.write(words);
    await answered;
    return this.text.slice(from);
  }
}

/** The same machine's other address. */
export function ip6Of(ip: string): string {
  return `fd00:9::${ip.slice(ip.lastIndexOf('.') + 1)}`;
}

function plug(outside: TestNetns, pod: TestNetns, name: string, ip: string): void {
  outside.run('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}p`);
  outside.run('ip', 'link', 'set', `${name}p`, 'netns', pod.path, 'name', 'eth0');
  outside.run('ip', 'link', 'set', name, 'master', 'br0', 'up');
  pod.run('ip', 'address', 'add', `${ip}/24`, 'dev', 'eth0');
  pod.run('ip', '-6', 'address', 'add', `${ip6Of(ip)}/64`, 'dev', 'eth0', 'nodad');
  pod.run('ip', 'link', 'set', 'eth0', 'up');
  pod.run('ip', 'route', 'add', 'default', 'via', OUTSIDE_IP);
  pod.run('ip', 'route', 'add', 'local', '0.0.0.0/0', 'dev', 'lo', 'table', '100');
  pod.run('ip', 'rule', 'add', 'fwmark', `${RETURN_MARK}/0xfff`, 'lookup', '100', 'pref', '32764');
  pod.run('ip', '-6', 'route', 'add', 'default', 'via', ip6Of(OUTSIDE_IP));
  pod.run('ip', '-6', 'route', 'add', 'local', '::/0', 'dev', 'lo', 'table', '100');
  pod.run('ip', '-6', 'rule', 'add', 'fwmark', `${RETURN_MARK}/0xfff`, 'lookup', '100', 'pref', '32764');
  pod.nft(`table inet mesh {
    chain arriving { type filter hook prerouting priority mangle; meta mark ${MARK} ct mark set ${RETURN_MARK}; }
    chain leaving { type route hook output priority mangle; ct mark ${RETURN_MARK} meta mark set ct mark; }
    chain in {
      type nat hook prerouting priority dstnat;
      meta mark ${MARK} accept
      iifname "lo" accept
      meta l4proto tcp tcp dport != 15008 redirect to :15006
    }
    chain out {
      type nat hook output priority -100;
      meta mark { ${MARK}, ${RETURN_MARK} } accept
      oifname "lo" accept
      meta l4proto tcp redirect to :15001
    }
  }`);
}

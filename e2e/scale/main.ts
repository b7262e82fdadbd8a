/**
 * `npm run bench:scale`: the control plane in front of a real API server that holds ten thousand pods.
 *
 * No kubelet and no controller runs: the objects lie there as a cluster would have left them, and change when this
 * benchmark changes them. All processes are on loopback of one machine: API server, etcd, control plane, clients and
 * writer share its cores, as they did when Istio's figures were taken. Output: a Markdown table, and the same as JSON in
 * bench-results/.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, homedir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '@ambit/core/clock';
import { COMPILE_CACHE, compileAhead } from '@ambit/core/build/compile-ahead';
import { configMaps } from '@ambit/kube/resources/core';
import { buildProxy } from '@ambit/ztunnel/build/build-proxy';
import { settingsFor as proxySettings, V8_FLAGS as PROXY_FLAGS } from '@ambit/ztunnel/runtime';
import { buildControlPlane } from '@ambit/istiod-lite/build/build-control-plane';
import { V8_FLAGS as CONTROL_PLANE_FLAGS } from '@ambit/istiod-lite/runtime';
import { cpuSeconds, memory } from '../bench/process-usage.ts';
import { clusterBinaries } from '../cluster/local/binaries.ts';
import { Clients } from './clients.ts';
import { installBase, populate, tokenOf } from './fill.ts';
import { percentile } from './measure.ts';
import { FULL_SIZE, type Size } from './population.ts';
import {
  mountServiceAccount,
  type NodeProxyProgram,
  type RunningProgram,
  SECURE_ADDRESS,
  startControlPlane,
  startNodeProxy,
} from './programs.ts';
import { type RealApiServer, startApiServer } from './real-api-server.ts';
import { ScaleReport } from './report.ts';
import { Writer } from './writer.ts';
import { type ApiLatency, type Latency, measureAnswers, measureWrites, type Pace } from './writes.ts';

const USAGE = `npm run bench:scale -- [--binaries FOLDER] [--rounds N] [--quick] [--from-sources]

  --binaries FOLDER  where etcd and kube-apiserver are (default: those of the local cluster, built if they are not there)
  --rounds N         starts of the control plane, each measured whole; the median counts (default 3)
  --quick            a tenth of the pods, one round: to see that it works, not to quote
  --from-sources     run our programs from their sources, not as the bundles that images have
`;

/** As the runner of the end-to-end suites has it. */
const CACHE = process.env['AMBIT_CACHE'] ?? join(homedir(), '.cache', 'ambit');
const BUILD_TIMEOUT_MS = 30 * 60_000;
const CLIENTS = 100;
const SETTLE_MS = 5_000;
const PUSHES = 5;
const MIB = 1_024 * 1_024;
const BURST: Pace = { changes: 1_000, everyMs: 2.6 };
const BURST_NAME = 'burst of 1,000 in 2.6 s';
const ROOT_TIMEOUT_MS = 30_000;

interface Bench {
  readonly api: RealApiServer;
  readonly writer: Writer;
  readonly size: Size;
  readonly folder: string;
  readonly report: ScaleReport;
  readonly controlPlane: readonly string[];
  readonly nodeProxy: NodeProxyProgram;
  readonly proxyToken: string;
  readonly rootPath: string;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      binaries: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      quick: { type: 'boolean', default: false },
      'from-sources': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const rounds = values.quick ? 1 : Number(values.rounds);
  if (values.help || !Number.isInteger(rounds) || rounds < 1) {
    process.stderr.write(USAGE);
    return values.help ? 0 : 2;
  }
  const size = values.quick ? { pods: 1_000, services: 100, nodes: 10, namespaces: 5 } : FULL_SIZE;
  const report = new ScaleReport();
  const commands = await commandsOf(values['from-sources']);
  const folder = mkdtempSync('/var/tmp/ambit-scale-');
  try {
    const binaries = values.binaries ?? (await localBinaries());
    await using api = await startApiServer(binaries, folder);
    await installBase(api.admin);
    mountServiceAccount(api, await tokenOf(api.admin, 'istiod'));
    const proxyToken = await tokenOf(api.admin, 'ztunnel', 'istio-ca');
    await using writer = new Writer(api);
    const bench = {
      api,
      writer,
      size,
      folder,
      report,
      ...commands,
      proxyToken,
      rootPath: join(folder, 'mesh-root.pem'),
    };
    const idleProxyBytes = await measureIdle(bench);
    say(`filling the API server with ${size.pods} pods`);
    await populate(api.admin, size);
    for (let round = 1; round <= rounds; round++) {
      say(`round ${round} of ${rounds}`);
      await measureRound(bench, idleProxyBytes);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const facts = factsOf(size, rounds, commands.controlPlane);
  const table = report.markdown(facts);
  process.stdout.write(`${table}\n`);
  mkdirSync('bench-results', { recursive: true });
  writeFileSync('bench-results/scale.md', table);
  writeFileSync('bench-results/scale.json', report.json(facts));
  for (const { name } of report.missed) say(`above its target: ${name}`);
  return 0;
}

function localBinaries(): Promise<string> {
  return clusterBinaries(CACHE, say, AbortSignal.timeout(BUILD_TIMEOUT_MS));
}

async function commandsOf(fromSources: boolean): Promise<Pick<Bench, 'controlPlane' | 'nodeProxy'>> {
  const at = (path: string) => new URL(`../../${path}`, import.meta.url).pathname;
  const node = process.execPath;
  if (fromSources) {
    return {
      controlPlane: [node, at('packages/istiod-lite/src/main.ts')],
      nodeProxy: { command: [node, at('packages/ztunnel/src/main.ts')], env: {} },
    };
  }
  const cache = at('node_modules/.cache/ambit/bench-scale');
  const controlPlane = join(cache, 'istiod');
  const nodeProxy = join(cache, 'ztunnel');
  const mains = [(await buildControlPlane(controlPlane)).main, (await buildProxy(nodeProxy)).main] as const;
  compileAhead(controlPlane, { node, flags: CONTROL_PLANE_FLAGS });
  compileAhead(nodeProxy, { node, flags: PROXY_FLAGS });
  return {
    controlPlane: [node, mains[0]],
    nodeProxy: {
      command: [node, ...PROXY_FLAGS, mains[1]],
      env: proxySettings(join(nodeProxy, COMPILE_CACHE)),
    },
  };
}

/** Without any pod: what both programs take by themselves. Returns the node proxy's resident bytes. */
async function measureIdle(bench: Bench): Promise<number> {
  const { api, report, folder, proxyToken, rootPath } = bench;
  say('idle');
  await using controlPlane = await startControlPlane(bench.controlPlane, api, folder);
  writeFileSync(rootPath, await meshRoot(api));
  await settle();
  report.add(
    { name: 'control plane, resident, idle', unit: 'MiB', istiod: '133' },
    residentMib(controlPlane),
  );
  await using proxy = await startNodeProxy(bench.nodeProxy, proxyToken, rootPath, folder);
  await settle();
  report.add({ name: 'node proxy, resident, idle', unit: 'MiB', istiod: '18' }, residentMib(proxy));
  return memory(proxy.pid).residentBytes;
}

async function measureRound(bench: Bench, idleProxyBytes: number): Promise<void> {
  const { api, report, folder, proxyToken, rootPath } = bench;
  await measureApiServerAlone(bench);
  await using controlPlane = await startControlPlane(bench.controlPlane, api, folder);
  report.add(
    { name: 'control plane, start → Ready', unit: 'ms', target: 4_000, istiod: '2,000' },
    controlPlane.readyAfterMs,
  );
  report.add(
    { name: 'control plane, CPU until Ready', unit: 's', istiod: '2.85' },
    cpuSeconds(controlPlane.pid),
  );
  await settle();
  report.add(
    { name: 'control plane, resident, with the state', unit: 'MiB', target: 350, istiod: '440–465' },
    residentMib(controlPlane),
  );
  {
    await using clients = new Clients(SECURE_ADDRESS, rootPath, proxyToken);
    await measurePushes(bench, clients);
    await clients.connect(1);
    await measureOneClient(bench, clients, controlPlane);
  }
  await measureNodeProxy(bench, idleProxyBytes);
  await using clients = new Clients(SECURE_ADDRESS, rootPath, proxyToken);
  await measureManyClients(bench, clients, controlPlane);
  report.add(
    { name: 'control plane, peak with 100 clients', unit: 'MiB', target: 450, istiod: '646' },
    memory(controlPlane.pid).peakBytes / MIB,
  );
}

/** The same burst with nobody watching: what is below it is not ours to reach. */
async function measureApiServerAlone({ report, writer, size }: Bench): Promise<void> {
  const alone = await measureAnswers({ writer, size, pace: BURST });
  reportAnswers(report, `${BURST_NAME}, no control plane`, alone);
}

async function measurePushes({ report }: Bench, clients: Clients): Promise<void> {
  const took: number[] = [];
  for (let n = 0; n < PUSHES; n++) {
    const [client] = (await clients.connect(1)).synced;
    if (!client) throw new Error('a client was refused');
    took.push(client.tookMs);
    if (n === 0) {
      report.add({ name: 'resources of a full push', unit: '', istiod: '11,014' }, client.resources);
      const megabytes = client.wireBytes / 1e6;
      report.add({ name: 'full push on the wire', unit: 'MB', istiod: '3.38' }, megabytes);
    }
    await clients.close();
  }
  const [first = Number.NaN, ...warm] = took;
  report.add(
    { name: 'full push to a new client, the first after the start', unit: 'ms', istiod: '161' },
    first,
  );
  report.add(
    { name: 'full push to a new client, warm', unit: 'ms', target: 150, istiod: '42–56' },
    percentile(warm, 0.5),
  );
}

async function measureOneClient(bench: Bench, clients: Clients, controlPlane: RunningProgram): Promise<void> {
  const { api, report, writer, size } = bench;
  const measure = (pace: Pace) => measureWrites({ writer, clients, clientCount: 1, size, pace });
  const single = await withCpu([controlPlane.pid], () => measure({ changes: 200, everyMs: 100 }));
  const name = 'write → client, one at a time, 1 client';
  const row = { unit: 'ms', istiod: '108', istiodFast: '7.7' };
  report.add({ ...row, name: `${name}, p50`, target: 15 }, single.result.p50Ms);
  report.add(
    { ...row, name: `${name}, p99`, target: 40, istiod: '112', istiodFast: '14' },
    single.result.p99Ms,
  );
  report.add(
    { name: `${name}, CPU of 200`, unit: 's', istiod: '0.53', istiodFast: '0.53' },
    single.cpuSeconds,
  );
  reportParts(report, name, single.result);
  const sustained = await measure({ changes: 300, everyMs: 40 });
  report.add(
    { name: '25 changes a second, p50', unit: 'ms', target: 30, istiod: '3,460', istiodFast: '7.5' },
    sustained.p50Ms,
  );
  report.add(
    { name: '25 changes a second, p99', unit: 'ms', target: 120, istiod: '9,990', istiodFast: '12.5' },
    sustained.p99Ms,
  );
  const {
    result: burst,
    cpuSeconds: ownCpu,
    otherCpuSeconds,
  } = await withCpu([controlPlane.pid], () => measure(BURST), [...api.pids, writer.pid, clients.pid]);
  report.add(
    { name: `${BURST_NAME}, p50`, unit: 'ms', target: 150, istiod: '1,880', istiodFast: '64' },
    burst.p50Ms,
  );
  report.add(
    { name: `${BURST_NAME}, max`, unit: 'ms', target: 500, istiod: '2,670', istiodFast: '149' },
    burst.maxMs,
  );
  reportParts(report, BURST_NAME, burst);
  report.add({ name: `${BURST_NAME}: CPU of the control plane`, unit: 's' }, ownCpu);
  report.add(
    { name: `${BURST_NAME}: CPU of etcd, API server, writer and client`, unit: 's' },
    otherCpuSeconds,
  );
}

/** What of a latency is the API server's, which shares the machine, and what comes after it. */
function reportParts(report: ScaleReport, name: string, latency: Latency): void {
  const row = { unit: 'ms' };
  reportAnswers(report, name, latency);
  report.add({ ...row, name: `${name}: from its answer to the client, p50` }, latency.afterP50Ms);
  report.add({ ...row, name: `${name}: from its answer to the client, p99` }, latency.afterP99Ms);
}

function reportAnswers(report: ScaleReport, name: string, latency: ApiLatency): void {
  const row = { unit: 'ms' };
  report.add({ ...row, name: `${name}: until the API server's answer, p50` }, latency.apiP50Ms);
  report.add({ ...row, name: `${name}: until the API server's answer, p99` }, latency.apiP99Ms);
}

async function measureManyClients(
  bench: Bench,
  clients: Clients,
  controlPlane: RunningProgram,
): Promise<void> {
  const { report, writer, size } = bench;
  const { result, cpuSeconds: cpu } = await withCpu([controlPlane.pid], () => clients.connect(CLIENTS));
  const took = result.synced.map(({ tookMs }) => tookMs);
  const name = '100 clients at once, full push';
  report.add({ name: `${name}, p50`, unit: 'ms', target: 2_000, istiod: '2,000' }, percentile(took, 0.5));
  report.add({ name: `${name}, max`, unit: 'ms', istiod: '4,200' }, percentile(took, 1));
  report.add({ name: `${name}, refusals`, unit: '', target: 0, istiod: '376–406' }, result.refusals.length);
  report.add({ name: `${name}, CPU`, unit: 's' }, cpu);
  await settle();
  const clientCount = result.synced.length;
  const pace = { changes: 200, everyMs: 100 };
  const written = await withCpu([controlPlane.pid], () =>
    measureWrites({ writer, clients, clientCount, size, pace }),
  );
  const write = 'write → client, one at a time, 100 clients';
  report.add(
    { name: `${write}, p50`, unit: 'ms', target: 40, istiod: '119', istiodFast: '13.5' },
    written.result.p50Ms,
  );
  report.add(
    { name: `${write}, p99`, unit: 'ms', target: 100, istiod: '224', istiodFast: '34' },
    written.result.p99Ms,
  );
  reportParts(report, write, written.result);
  report.add(
    { name: `${write}, CPU of 200`, unit: 's', istiod: '2.1', istiodFast: '2.7' },
    written.cpuSeconds,
  );
}

async function measureNodeProxy(bench: Bench, idleBytes: number): Promise<void> {
  const { report, folder, proxyToken, rootPath } = bench;
  await using proxy = await startNodeProxy(bench.nodeProxy, proxyToken, rootPath, folder);
  report.add(
    { name: 'node proxy, start → Ready', unit: 'ms', target: 600, istiod: '97' },
    proxy.readyAfterMs,
  );
  await settle();
  const added = (memory(proxy.pid).residentBytes - idleBytes) / MIB;
  report.add(
    { name: 'node proxy, memory added by the state', unit: 'MiB', target: 50, istiod: '16–24' },
    added,
  );
}

/** With the CPU that processes used meanwhile: those of interest, and others beside them. */
async function withCpu<T>(
  pids: readonly number[],
  work: () => Promise<T>,
  others: readonly number[] = [],
): Promise<{ readonly result: T; readonly cpuSeconds: number; readonly otherCpuSeconds: number }> {
  const used = (of: readonly number[]) => of.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = [used(pids), used(others)] as const;
  const result = await work();
  return { result, cpuSeconds: used(pids) - before[0], otherCpuSeconds: used(others) - before[1] };
}

/** What the control plane publishes for everybody who must trust it. */
async function meshRoot({ admin }: RealApiServer): Promise<string> {
  const deadlineMs = performance.now() + ROOT_TIMEOUT_MS;
  for (;;) {
    const found = await admin.find(configMaps, { namespace: 'istio-system', name: 'istio-ca-root-cert' });
    const root = found?.data?.['root-cert.pem'];
    if (root) return root;
    if (performance.now() > deadlineMs) throw new Error('no istio-ca-root-cert in istio-system');
    await systemClock.sleep(100);
  }
}

function residentMib({ pid }: RunningProgram): number {
  return memory(pid).residentBytes / MIB;
}

function settle(): Promise<void> {
  return systemClock.sleep(SETTLE_MS);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function factsOf(size: Size, rounds: number, controlPlane: readonly string[]): Record<string, string> {
  const [first] = cpus();
  return {
    state: `${size.pods} pods in ${size.services} services on ${size.nodes} nodes without kubelets, ${size.namespaces} enrolled namespaces, one EndpointSlice a service`,
    clients: 'over TLS with a reviewed token, each with its own connection, all in one process of their own',
    writer: 'a process of its own with one HTTP/2 connection',
    'time of a change': 'from before the request to the API server until the client has the message',
    rounds: `${rounds}, median; the control plane is started anew for each`,
    machine: `${cpus().length} × ${first?.model.trim() ?? 'unknown'}; etcd, API server, writer and clients on the same cores`,
    kernel: readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim(),
    node: process.version,
    'control plane': controlPlane.at(-1)?.endsWith('.ts')
      ? 'from sources'
      : 'as the bundle that the image has',
    memory: 'resident set of the process, in MiB of 1,048,576 bytes',
  };
}

process.exitCode = await main();

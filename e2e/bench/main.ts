/**
 * `npm run bench`: the L4 path, measured; with `-- --peer-ztunnel PATH`, beside another ztunnel in the same run. With
 * `-- waypoint`, HTTP instead (waypoint/bench.ts).
 *
 * Each side is started alike, in namespaces made fresh, with the same pods, rules, load tools and worker count; rounds are
 * interleaved, so that a noisy minute hits both. A row is the median of the rounds. Output: a Markdown table, and the same as
 * JSON in bench-results/.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { buildProxy } from '@ambit/ztunnel/build/build-proxy';
import { cipherDuring } from './cipher.ts';
import { bulk, paced, type PacedResult, requests, seed } from './loads.ts';
import { Measurements } from './measurements.ts';
import { type CpuUsage, cpuUsage, memory } from './process-usage.ts';
import { type RunningProxy, type Side, startProxy, startTwoProxies } from './proxy.ts';
import { markdown, type Report } from './report.ts';
import {
  end,
  makeTopology,
  MAX_TIME_WAIT_SOCKETS,
  REDIS_PORT,
  SERVER_IP,
  type Topology,
} from './topology.ts';
import { benchWaypoint } from './waypoint/bench.ts';

const USAGE = `npm run bench -- waypoint --help
npm run bench -- [--peer-ztunnel PATH] [--rows LIST] [--rounds N] [--seconds N] [--workers N] [--cipher aes-128|aes-256] [--variant NAME=SETTINGS]… [--from-sources] [--quick]

  --peer-ztunnel PATH  run the same table against this ztunnel too, and print ratios
  --rows LIST          of throughput, round-trips, new-connections, paced and memory, with commas (default: all). paced:
                       40 and 200 requests a second on new and on held connections, between two ztunnels; what each side
                       adds to no mesh
  --rounds N           rounds of each measurement, of which the median counts (default 3)
  --seconds N          length of one throughput measurement (default 4)
  --workers N          data worker threads of each side (default 2)
  --cipher NAME        prefer this cipher on our side, to compare on the peer's
  --variant NAME=…     our side once more, as another side: with these flags of Node and VARIABLE=VALUE, with spaces between;
                       any number of times
  --from-sources       run our side from its sources, not as the bundle that images have
  --quick              one round of one second each: to see that it works, not to quote
`;

const IDLE_CONNECTIONS = 3_000;
const EXTRA_WORKLOADS = 10_000;
/** For each worker: longer than one tidies up and warms up, one after the other. A node's proxy has been up for a while. */
const SETTLE_MS = 8_000;

/** As of a quiet application, and of a busier one that is far from what a proxy can bear. */
const PACED_LOADS = [
  { perSecond: 40, seconds: 10 },
  { perSecond: 200, seconds: 5 },
] as const;
const PACED_HELD_CONNECTIONS = 20;

const GROUPS = ['throughput', 'round-trips', 'new-connections', 'paced', 'memory'] as const;
type Group = (typeof GROUPS)[number];
/** Those measured by {@link measureLoads}. */
const LOADS: readonly Group[] = ['throughput', 'round-trips', 'new-connections'];

interface Options {
  readonly groups: ReadonlySet<Group>;
  readonly rounds: number;
  readonly seconds: number;
  readonly workers: number;
  /** Scales the number of requests. */
  readonly share: number;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      'peer-ztunnel': { type: 'string' },
      rows: { type: 'string', default: GROUPS.join(',') },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '4' },
      workers: { type: 'string', default: '2' },
      cipher: { type: 'string' },
      variant: { type: 'string', multiple: true, default: [] },
      'from-sources': { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const groups = values.rows.split(',').map((name) => GROUPS.find((group) => group === name));
  const options: Options = {
    groups: new Set(groups.filter((group) => group !== undefined)),
    rounds: values.quick ? 1 : Number(values.rounds),
    seconds: values.quick ? 1 : Number(values.seconds),
    workers: Number(values.workers),
    share: values.quick ? 0.1 : 1,
  };
  if (
    groups.includes(undefined) ||
    ![options.rounds, options.seconds, options.workers].every(
      (number) => Number.isInteger(number) && number > 0,
    )
  ) {
    process.stderr.write(USAGE);
    return 2;
  }
  const sides = await sidesOf({
    peer: values['peer-ztunnel'],
    cipher: values.cipher,
    variants: values.variant,
    fromSources: values['from-sources'],
  });
  const measurements = new Measurements();
  const ciphers: string[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    const loads = LOADS.some((group) => options.groups.has(group)) ? [...sides, undefined] : [];
    for (const side of loads) {
      process.stderr.write(`round ${round} of ${options.rounds}: ${side?.name ?? 'no mesh'}\n`);
      await measureLoads(side, options, measurements, round === 1 ? ciphers : undefined);
    }
    if (options.groups.has('paced')) await measurePaced(sides, options, measurements);
  }
  for (const side of options.groups.has('memory') ? sides : []) {
    process.stderr.write(`memory: ${side.name}\n`);
    await measureMemory(side, options, measurements);
  }
  const report: Report = {
    sides: [...sides.map((side) => side.name), 'no mesh'],
    facts: factsOf(options, sides, ciphers),
    rows: measurements.rows(),
  };
  const table = markdown(report);
  process.stdout.write(`${table}\n`);
  mkdirSync('bench-results', { recursive: true });
  writeFileSync('bench-results/l4.md', table);
  writeFileSync('bench-results/l4.json', `${JSON.stringify(report, undefined, 2)}\n`);
  return 0;
}

/** Ours comes first. */
async function sidesOf({
  peer,
  cipher,
  variants,
  fromSources,
}: {
  readonly peer: string | undefined;
  readonly cipher: string | undefined;
  /** `NAME=SETTINGS` each: flags of Node, and `VARIABLE=VALUE`. */
  readonly variants: readonly string[];
  readonly fromSources: boolean;
}): Promise<readonly Side[]> {
  const source = new URL('../../packages/ztunnel/src/main.ts', import.meta.url).pathname;
  const folder = new URL('../../node_modules/.cache/ambit/bench', import.meta.url).pathname;
  const main = fromSources ? source : (await buildProxy(folder)).main;
  const env: Record<string, string> = cipher === undefined ? {} : { AMBIT_TLS_CIPHER: cipher };
  const ours: Side = { name: 'ambit', command: [process.execPath, main], env };
  const others = variants.map((variant): Side => {
    const [name = '', ...rest] = variant.split('=');
    const words = rest.join('=').split(' ').filter(Boolean);
    const flags = words.filter((word) => word.startsWith('-'));
    const settings = words.filter((word) => !word.startsWith('-')).map((word) => /([^=]*)=?(.*)/.exec(word));
    const changed = Object.fromEntries(settings.map((match) => [match?.[1] ?? '', match?.[2] ?? '']));
    return { name, command: [process.execPath, ...flags, main], env: { ...env, ...changed } };
  });
  const peers = peer === undefined ? [] : [{ name: 'peer', command: [peer, 'proxy', 'ztunnel'], env: {} }];
  return [ours, ...others, ...peers];
}

/** What is measured, and of whom. */
interface Subject {
  readonly topology: Topology;
  readonly proxy: RunningProxy | undefined;
  readonly side: string;
}

/** The rows of throughput, round trips and new connections, once. No side: the same loads without any proxy. */
async function measureLoads(
  side: Side | undefined,
  options: Options,
  measurements: Measurements,
  ciphers: string[] | undefined,
): Promise<void> {
  const { groups, workers } = options;
  const name = side?.name ?? 'no mesh';
  if (groups.has('throughput') || groups.has('round-trips')) {
    await using topology = await makeTopology();
    await using proxy = side && (await startProxy(topology, side, { workers, extraWorkloads: 0 }));
    if (proxy) await settle(options);
    const subject: Subject = { topology, proxy, side: name };
    if (ciphers && proxy) ciphers.push(`${name} ${await cipherDuring(topology, () => seed(topology))}`);
    await seed(topology);
    if (groups.has('throughput')) await measureThroughput(subject, options, measurements);
    if (groups.has('round-trips')) await measureRoundTrips(subject, options, measurements);
    if (proxy) {
      const { peakBytes } = memory(proxy.pid);
      measurements.add('memory, peak under these loads', 'MB', 'less', name, peakBytes / 1e6);
    }
  }
  if (!groups.has('new-connections')) return;
  for (const [connections, count] of [
    [1, 8_000],
    [16, 16_000],
  ] as const) {
    await using topology = await makeTopology();
    await using proxy = side && (await startProxy(topology, side, { workers, extraWorkloads: 0 }));
    if (proxy) await settle(options);
    const amount = Math.round(count * options.share);
    await seed(topology);
    await requests(topology, { connections, requests: Math.round(amount / 4), keepAlive: false });
    const load = { connections, requests: amount, keepAlive: false };
    await measureRequests({ topology, proxy, side: name }, load, measurements);
  }
}

async function measureThroughput(
  { topology, proxy, side }: Subject,
  { seconds }: Options,
  measurements: Measurements,
): Promise<void> {
  await bulk(topology, { connections: 2, reverse: false, seconds: 1 });
  for (const reverse of [false, true]) {
    for (const connections of [1, 4]) {
      const row = `${reverse ? 'server → client' : 'client → server'}, ${plural(connections)}`;
      const [result, cpu] = await withCpu(proxy && [proxy], () =>
        bulk(topology, { connections, reverse, seconds }),
      );
      measurements.add(row, 'Gbit/s', 'more', side, result.bitsPerSecond / 1e9);
      addCpu(measurements, row, 'CPU-s/GB', side, cpu, result.bytes / 1e9);
    }
  }
}

async function measureRoundTrips(subject: Subject, options: Options, measurements: Measurements) {
  for (const [connections, count] of [
    [1, 30_000],
    [16, 200_000],
    [64, 250_000],
  ] as const) {
    const amount = Math.round(count * options.share);
    const load = { connections, requests: amount, keepAlive: true };
    await requests(subject.topology, { ...load, requests: Math.round(amount / 4) });
    await measureRequests(subject, load, measurements);
  }
}

async function measureRequests(
  { topology, proxy, side }: Subject,
  load: { readonly connections: number; readonly requests: number; readonly keepAlive: boolean },
  measurements: Measurements,
): Promise<void> {
  const row = `${load.keepAlive ? '64-byte round trips' : 'new connection + round trip'}, ${plural(load.connections)}`;
  const [result, cpu] = await withCpu(proxy && [proxy], () => requests(topology, load));
  measurements.add(row, '/s', 'more', side, result.perSecond);
  measurements.add(`${row}, p50`, 'µs', 'less', side, result.p50Ms * 1_000);
  measurements.add(`${row}, p99`, 'µs', 'less', side, result.p99Ms * 1_000);
  addCpu(measurements, row, 'CPU-µs each', side, cpu, result.requests / 1e6);
}

/**
 * A quiet application: from a fresh start, each side's latencies and what they are above those of no mesh in the same round.
 * Proxies are two, as on two nodes, so that each does half of the work and its code is half as warm.
 */
async function measurePaced(
  sides: readonly Side[],
  options: Options,
  measurements: Measurements,
): Promise<void> {
  const { workers, share } = options;
  const without = new Map<number, PacedResult>();
  for (const side of [undefined, ...sides]) {
    process.stderr.write(`paced: ${side?.name ?? 'no mesh'}\n`);
    await using topology = await makeTopology();
    await using proxies = side && (await startTwoProxies(topology, side, { workers, extraWorkloads: 0 }));
    if (proxies) await settle(options, proxies.length);
    for (const { perSecond, seconds: all } of PACED_LOADS) {
      const seconds = Math.max(1, Math.round(all * share));
      const load = { perSecond, seconds, heldConnections: PACED_HELD_CONNECTIONS };
      const [result, cpu] = await withCpu(proxies, () => paced(topology, load));
      const name = side?.name ?? 'no mesh';
      if (!side) without.set(perSecond, result);
      for (const [kind, row] of [
        ['fresh', `new connection + round trip, ${perSecond}/s`],
        ['held', `round trip on one of ${PACED_HELD_CONNECTIONS} connections, ${perSecond}/s`],
      ] as const)
        for (const quantile of ['p50', 'p99'] as const) {
          const us = result[kind][`${quantile}Us`];
          measurements.add(`${row}, ${quantile}`, 'µs', 'less', name, us);
          const baseUs = without.get(perSecond)?.[kind][`${quantile}Us`];
          if (side && baseUs !== undefined)
            measurements.add(`${row}, ${quantile}, added`, 'µs', 'less', name, us - baseUs);
        }
      const pairs = perSecond * seconds;
      addCpu(measurements, `both, ${perSecond}/s`, 'CPU-µs of one each', name, cpu, pairs / 1e6);
    }
  }
}

async function withCpu<T>(
  proxies: readonly RunningProxy[] | undefined,
  load: () => Promise<T>,
): Promise<[T, CpuUsage | undefined]> {
  if (!proxies) return [await load(), undefined];
  const used = (): CpuUsage => {
    const each = proxies.map(({ pid }) => cpuUsage(pid));
    return {
      userSeconds: each.reduce((sum, { userSeconds }) => sum + userSeconds, 0),
      kernelSeconds: each.reduce((sum, { kernelSeconds }) => sum + kernelSeconds, 0),
    };
  };
  const before = used();
  const result = await load();
  const after = used();
  return [
    result,
    {
      userSeconds: after.userSeconds - before.userSeconds,
      kernelSeconds: after.kernelSeconds - before.kernelSeconds,
    },
  ];
}

/** The CPU of a row in its unit, and how much of it was the kernel's. */
function addCpu(
  measurements: Measurements,
  row: string,
  unit: string,
  side: string,
  cpu: CpuUsage | undefined,
  amount: number,
): void {
  if (!cpu) return;
  const { userSeconds, kernelSeconds } = cpu;
  measurements.add(`${row}, CPU`, unit, 'less', side, (userSeconds + kernelSeconds) / amount);
  measurements.add(`${row}, CPU in the kernel`, unit, 'less', side, kernelSeconds / amount);
}

/** Idle, with idle connections, and with many workloads: each from a fresh start. */
async function measureMemory(side: Side, options: Options, measurements: Measurements): Promise<void> {
  let idleBytes = 0;
  {
    await using topology = await makeTopology();
    await using proxy = await startProxy(topology, side, { workers: options.workers, extraWorkloads: 0 });
    await settle(options);
    idleBytes = memory(proxy.pid).residentBytes;
    measurements.add('memory, idle', 'MB', 'less', side.name, idleBytes / 1e6);
    await seed(topology);
    await settle(options);
    const before = memory(proxy.pid).residentBytes;
    await holding(topology, IDLE_CONNECTIONS, async () => {
      await settle(options);
      const each = (memory(proxy.pid).residentBytes - before) / IDLE_CONNECTIONS;
      measurements.add(
        `memory, each of ${IDLE_CONNECTIONS} idle connections, both ends`,
        'KB',
        'less',
        side.name,
        each / 1e3,
      );
    });
  }
  const residentWith = async (source: 'file' | 'xds', extraWorkloads: number) => {
    await using topology = await makeTopology();
    await using proxy = await startProxy(topology, side, {
      workers: options.workers,
      extraWorkloads,
      source,
    });
    await settle(options);
    return memory(proxy.pid).residentBytes;
  };
  const addRow = (row: string, bytes: number) =>
    measurements.add(`memory, ${row}`, 'MB', 'less', side.name, bytes / 1e6);
  const connectedBytes = await residentWith('xds', 0);
  addRow('idle, with a control plane', connectedBytes);
  const added = (await residentWith('xds', EXTRA_WORKLOADS)) - connectedBytes;
  addRow(`added by ${EXTRA_WORKLOADS} workloads from a control plane`, added);
  const addedByFile = (await residentWith('file', EXTRA_WORKLOADS)) - idleBytes;
  addRow(`added by ${EXTRA_WORKLOADS} workloads from a file`, addedByFile);
}

async function holding(topology: Topology, count: number, measure: () => Promise<void>): Promise<void> {
  const script = new URL('./hold-connections.ts', import.meta.url).pathname;
  const child = spawn(
    'ip',
    [
      'netns',
      'exec',
      topology.client,
      process.execPath,
      script,
      SERVER_IP,
      String(REDIS_PORT),
      String(count),
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  try {
    await Promise.race([
      once(child.stdout, 'data'),
      once(child, 'close').then(() => Promise.reject(new Error(`${count} connections could not be opened`))),
    ]);
    await measure();
  } finally {
    await end(child);
  }
}

/** Proxies warm up at the same time, on the same cores. */
function settle({ workers }: Options, proxies = 1): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, SETTLE_MS * workers * proxies));
}

function plural(connections: number): string {
  return connections === 1 ? '1 connection' : `${connections} connections`;
}

function factsOf(
  options: Options,
  sides: readonly Side[],
  ciphers: readonly string[],
): Record<string, string> {
  const [first] = cpus();
  return {
    topology:
      'client pod → ztunnel → HBONE → the same ztunnel → server pod; one process holds both ends (but for what is paced: a process each); two network namespaces, one veth',
    'sockets in TIME_WAIT': `at most ${MAX_TIME_WAIT_SOCKETS} in each pod, so that nobody looks for ports`,
    'data workers of each side': String(options.workers),
    cipher: ciphers.join(', '),
    rounds: `${options.rounds}, median; sides interleaved; each proxy has been ready for ${(SETTLE_MS * options.workers) / 1_000} s when its load begins, twice as long where it is one of two`,
    machine: `${cpus().length} × ${first?.model.trim() ?? 'unknown'}, load generators and servers on the same cores`,
    kernel: readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim(),
    node: process.version,
    sides: sides
      .map((side) => `${side.name} = ${side.command.slice(0, 2).map(baseName).join(' ')}`)
      .join(', '),
    'memory is': 'resident set of the one process, all threads',
  };
}

function baseName(path: string): string {
  return path
    .split('/')
    .slice(-3)
    .join('/')
    .replace(/^.*node_modules\/[^/]+\//, '');
}

process.exitCode = process.argv[2] === 'waypoint' ? await benchWaypoint(process.argv.slice(3)) : await main();

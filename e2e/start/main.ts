/**
 * `npm run bench:start`: what a ztunnel does between its start and being ready, with the state of a large cluster.
 *
 * It starts the bundle as the image does, before a control plane in a process of its own, sides in turns. A line of the log
 * ends each phase; its time, and what each thread has used by then, is the timeline. Nothing is measured inside the proxy,
 * so that any build of it can be a side.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { COMPILE_CACHE, compileAhead } from '@ambit/core/build/compile-ahead';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { ZdsServer } from '@ambit/zds/agent-side';
import { buildProxy } from '@ambit/ztunnel/build/build-proxy';
import { settingsFor, V8_FLAGS } from '@ambit/ztunnel/runtime';
import { memory } from '../bench/process-usage.ts';
import { median } from '../bench/report.ts';
import { end } from '../bench/topology.ts';
import { nowMs } from '../scale/measure.ts';
import { FULL_SIZE } from '../scale/population.ts';
import { statusOf } from '../scale/status-of.ts';
import { type Plane, startPlane } from './plane.ts';

const USAGE = `npm run bench:start -- [--side NAME=FOLDER …] [--rounds N] [--pods N] [--bundle FOLDER]

  --side NAME=FOLDER  a bundle to start, as --bundle leaves it; several are started in turns (default: one of these sources)
  --rounds N          starts of each side; medians count (default 5)
  --pods N            pods of the state, in a tenth as many services; 0: none (default ${FULL_SIZE.pods})
  --bundle FOLDER     only make a bundle of these sources, in a folder below node_modules
`;

/** Of a bundle, by which sides may differ. */
const FLAGS_FILE = 'v8-flags.json';
/** Where packages that are native are found. */
const OWN_BUNDLE = new URL('../../node_modules/.cache/ambit/start', import.meta.url).pathname;
const CONTROL_PLANE = new URL('control-plane-main.ts', import.meta.url).pathname;
const POLL_MS = 5;
const READY_TIMEOUT_MS = 30_000;
/** When garbage has been collected. */
const SETTLE_MS = 2_500;
const MIB = 1_024 * 1_024;
const READY_URL = 'http://127.0.0.1:15021/healthz/ready';

/** Lines of the log by what they tell, in the order in which they come. */
const MARKS: readonly (readonly [string, RegExp])[] = [
  ['configured', /\bpid=/],
  ['workers up', /data workers started/],
  ['waits for xDS', /\bstarted\b.*mode=/],
  ['xDS answers', /xDS stream established/],
  ['state applied', /xDS response\b.*workload\.Address/],
];

interface Start {
  /** Milliseconds from just before the process was made. */
  readonly marks: ReadonlyMap<string, number>;
  /** CPU milliseconds by the name of a thread, when it was ready; the last is a sum. */
  readonly cpuMs: ReadonlyMap<string, number>;
  readonly readyResidentMib: number;
  readonly settledResidentMib: number;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      side: { type: 'string', multiple: true, default: [] },
      rounds: { type: 'string', default: '5' },
      pods: { type: 'string', default: String(FULL_SIZE.pods) },
      bundle: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const [rounds, pods] = [Number(values.rounds), Number(values.pods)];
  if (values.help || !Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(pods)) {
    process.stderr.write(USAGE);
    return values.help ? 0 : 2;
  }
  if (values.bundle !== undefined) {
    await makeBundle(values.bundle);
    return 0;
  }
  const folder = mkdtempSync('/var/tmp/ambit-start-');
  try {
    const sides = new Map(values.side.map((side) => side.split('=') as [string, string]));
    if (sides.size === 0) sides.set('ambit', await makeBundle(OWN_BUNDLE));
    const args = [CONTROL_PLANE, pods, pods / 10].map(String);
    await using plane = await startPlane(args, folder);
    const starts = new Map<string, Start[]>([...sides.keys()].map((side) => [side, []]));
    for (let round = 0; round <= rounds; round++)
      for (const [side, bundle] of sides) {
        const start = await startOnce(bundle, plane, folder);
        process.stderr.write(`${side}: ready after ${Math.round(start.marks.get('ready') ?? 0)} ms\n`);
        // The first brings files into the page cache.
        if (round > 0) starts.get(side)?.push(start);
      }
    process.stdout.write(`${tableOf(starts)}\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return 0;
}

async function makeBundle(folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  await buildProxy(folder);
  compileAhead(folder, { node: process.execPath, flags: V8_FLAGS });
  writeFileSync(join(folder, FLAGS_FILE), JSON.stringify(V8_FLAGS));
  return folder;
}

async function startOnce(bundle: string, plane: Plane, folder: string): Promise<Start> {
  await using scope = new AsyncDisposableStack();
  const socket = join(folder, 'zds.sock');
  const agent = scope.use(
    new ZdsServer({ path: socket, snapshot: () => [], clock: systemClock, log: silentLogger }),
  );
  await agent.start(AbortSignal.timeout(READY_TIMEOUT_MS));
  plane.said.clear();
  const marks = new Map<string, number>();
  const startedMs = nowMs();
  const flags = JSON.parse(readFileSync(join(bundle, FLAGS_FILE), 'utf8')) as readonly string[];
  const child = spawn(process.execPath, [...flags, join(bundle, 'main.mjs')], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env['PATH'] ?? '',
      ...settingsFor(join(bundle, COMPILE_CACHE)),
      PROXY_MODE: 'shared',
      INPOD_UDS: socket,
      NODE_NAME: 'fake-1',
      POD_NAME: 'ztunnel-start',
      POD_NAMESPACE: 'istio-system',
      SERVICE_ACCOUNT: 'ztunnel',
      XDS_ADDRESS: plane.address,
      CA_ADDRESS: plane.address,
      XDS_ROOT_CA: plane.rootPath,
      CA_ROOT_CA: plane.rootPath,
      AUTH_TOKEN: 'token',
      ISTIO_META_DNS_CAPTURE: 'false',
      ZTUNNEL_WORKER_THREADS: '2',
      RUST_LOG: 'info,xds=debug',
    },
  });
  scope.defer(() => end(child));
  const log: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    log.push(line);
    const [mark] = MARKS.find(([name, pattern]) => !marks.has(name) && pattern.test(line)) ?? [];
    if (mark !== undefined) marks.set(mark, nowMs() - startedMs);
  });
  await ready(child, plane, log);
  marks.set('ready', nowMs() - startedMs);
  const pid = child.pid ?? 0;
  const cpuMs = cpuByThread(pid);
  const readyResidentMib = memory(pid).residentBytes / MIB;
  for (const [said, atMs] of plane.said) marks.set(`state ${said} by the control plane`, atMs - startedMs);
  await systemClock.sleep(SETTLE_MS);
  return { marks, cpuMs, readyResidentMib, settledResidentMib: memory(pid).residentBytes / MIB };
}

async function ready(child: ChildProcess, plane: Plane, log: readonly string[]): Promise<void> {
  const deadlineMs = nowMs() + READY_TIMEOUT_MS;
  while (nowMs() < deadlineMs && child.exitCode === null && child.signalCode === null) {
    if ((await statusOf(READY_URL)) === 200) return;
    plane.check();
    await systemClock.sleep(POLL_MS);
  }
  throw new Error(`not ready:\n${log.slice(-20).join('\n')}`);
}

/** Threads that are named alike are numbered in the order in which they began. */
function cpuByThread(pid: number): ReadonlyMap<string, number> {
  const used = new Map<string, number>();
  const counts = new Map<string, number>();
  let sum = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`).sort((a, b) => Number(a) - Number(b))) {
    const folder = `/proc/${pid}/task/${thread}`;
    const name = Number(thread) === pid ? 'control' : readFileSync(`${folder}/comm`, 'utf8').trim();
    const ms = Number(readFileSync(`${folder}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    used.set(count === 1 ? name : `${name} ${count}`, ms);
    sum += ms;
  }
  return used.set('all threads', sum);
}

function tableOf(starts: ReadonlyMap<string, readonly Start[]>): string {
  const sides = [...starts.keys()];
  const row = (name: string, unit: string, of: (start: Start) => number | undefined) => {
    const cells = sides.map((side) => {
      const values = (starts.get(side) ?? []).map(of).filter((value) => value !== undefined);
      if (values.length === 0) return '';
      return `${Math.round(median(values))} (${Math.round(Math.min(...values))}–${Math.round(Math.max(...values))})`;
    });
    return `| ${[name, unit, ...cells].join(' | ')} |`;
  };
  const all = [...starts.values()].flat();
  const at = (mark: string) => median(all.flatMap(({ marks }) => marks.get(mark) ?? []));
  const marks = [...new Set(all.flatMap((start) => [...start.marks.keys()]))].sort((a, b) => at(a) - at(b));
  const threads = [...new Set(all.flatMap(({ cpuMs }) => [...cpuMs.keys()]))];
  return [
    `| what | unit | ${sides.join(' | ')} |`,
    `| --- | --- | ${sides.map(() => '---').join(' | ')} |`,
    ...marks.map((mark) => row(mark, 'ms', (start) => start.marks.get(mark))),
    ...threads.map((name) => row(`CPU until ready, ${name}`, 'ms', (start) => start.cpuMs.get(name))),
    row('resident when ready', 'MiB', (start) => start.readyResidentMib),
    row('resident 2.5 s later', 'MiB', (start) => start.settledResidentMib),
  ].join('\n');
}

process.exitCode = await main();

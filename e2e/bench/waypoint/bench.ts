/**
 * `npm run bench -- waypoint`: HTTP, measured; with Envoy (`--peer-envoy PATH`, or `envoy` in PATH) beside it in the same run.
 *
 * Three parts: `plain` is the engine alone (packages/http) as a proxy in clear; `hbone` is the waypoint as it is, between
 * two ztunnels that both sides share; `rules` is `hbone` with rules to enforce and a token to believe (rules.ts). Each part
 * starts its sides anew, and bears first a load that leaves them time, whose memory and latency are those of a usual
 * day, and then as much as they can take. Rounds are interleaved, and a row is the median of them. Output: a Markdown
 * table, and the same as JSON in bench-results/.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Measurements } from '../measurements.ts';
import { cpuSeconds, memory } from '../process-usage.ts';
import { markdown, type Report } from '../report.ts';
import { type HttpLoad, httpLoad, WARM_UP_SECONDS } from './http-loads.ts';
import { makeRules, RULED_PATH } from './rules.ts';
import { type Bench, buildPrograms, hboneSides, plainSides, type Side, startBackend } from './sides.ts';

const PARTS = ['plain', 'hbone', 'rules'] as const;
type Part = (typeof PARTS)[number];

const USAGE = `npm run bench -- waypoint [--peer-envoy PATH] [--only PART] [--rounds N] [--seconds N] [--quick]

  --peer-envoy PATH  run the same table against this Envoy too, and print ratios (default: envoy in PATH, if there is one)
  --only PART        plain: the engine as a proxy in clear; hbone: the waypoint between two ztunnels; rules: hbone with 20
                     rules and a token (default: all)
  --rounds N         rounds of each measurement, of which the median counts (default 3)
  --seconds N        length of one measurement (default 5)
  --quick            one round of one second each: to see that it works, not to quote
`;

/** Requests a second that leave a proxy time. */
const STEADY_RATE = 1_000;
/** Whoever has just started bears this before anything is counted. */
const SETTLE_SECONDS = 3;

const SATURATING: readonly HttpLoad[] = [
  ...[1, 32, 128].map((connections) => ({
    name: `HTTP/1.1, ${connections} connection${connections === 1 ? '' : 's'}`,
    version: '1.1' as const,
    connections,
    streams: 1,
  })),
  { name: 'HTTP/2, 1 connection of 32 streams', version: '2', connections: 1, streams: 32 },
  { name: 'HTTP/2, 8 connections of 16 streams', version: '2', connections: 8, streams: 16 },
];

const STEADY: readonly HttpLoad[] = (['1.1', '2'] as const).map((version) => ({
  name: `HTTP/${version}, 8 connections`,
  version,
  connections: 8,
  streams: version === '2' ? 16 : 1,
  perSecond: STEADY_RATE,
}));

interface Run {
  readonly rounds: number;
  readonly seconds: number;
  readonly bench: Bench;
}

export async function benchWaypoint(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      'peer-envoy': { type: 'string' },
      only: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '5' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const rounds = values.quick ? 1 : Number(values.rounds);
  const seconds = values.quick ? 1 : Number(values.seconds);
  const parts = PARTS.filter((part) => values.only === undefined || values.only === part);
  if (values.help || parts.length === 0 || !(rounds > 0) || !(seconds > 0)) {
    process.stdout.write(USAGE);
    return values.help ? 0 : 2;
  }
  const missing = ['wrk', 'h2load'].filter((tool) => programIn(tool) === undefined);
  if (missing.length > 0) {
    process.stderr.write(`not here: ${missing.join(', ')} (Debian packages wrk and nghttp2-client)\n`);
    return 1;
  }
  const envoy = values['peer-envoy'] ?? programIn('envoy');
  const scratch = mkdtempSync(join(tmpdir(), 'ambit-bench-'));
  const measurements = new Measurements();
  try {
    await buildPrograms();
    await using _backend = await startBackend();
    for (const part of parts)
      await measurePart(part, { rounds, seconds, bench: { scratch, envoy } }, measurements);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const report: Report = {
    sides: ['ambit', ...(envoy === undefined ? [] : ['envoy'])],
    facts: factsOf(rounds, seconds, envoy),
    rows: measurements.rows(),
  };
  const table = markdown(report);
  process.stdout.write(`${table}\n`);
  mkdirSync('bench-results', { recursive: true });
  writeFileSync('bench-results/http.md', table);
  writeFileSync('bench-results/http.json', `${JSON.stringify(report, undefined, 2)}\n`);
  return 0;
}

async function measurePart(part: Part, run: Run, measurements: Measurements): Promise<void> {
  const { bench } = run;
  await using scope = new AsyncDisposableStack();
  const rules = part === 'rules' ? makeRules() : undefined;
  const sides = part === 'plain' ? await plainSides(bench) : await hboneSides(bench, rules);
  for (const side of sides) scope.use(side);
  const common = rules ? { path: RULED_PATH, headers: [`authorization: Bearer ${rules.token}`] } : {};
  const steady = STEADY.map((load) => ({ ...load, ...common }));
  const saturating = [...SATURATING, grpcLoad(bench.scratch)].map((load) => ({
    ...load,
    ...common,
    headers: [...(load.headers ?? []), ...(common.headers ?? [])],
  }));

  const rate = `${STEADY_RATE.toLocaleString('en-US')} requests/s`;
  await warmUp(steady, sides, SETTLE_SECONDS, run);
  await measureLoads(`${part}, ${rate}`, steady, sides, run, measurements);
  for (const side of sides) {
    const { residentBytes, peakBytes } = memory(side.pid);
    const row = `${part}, ${rate}: memory`;
    measurements.add(row, 'MB', 'less', side.name, residentBytes / 1e6);
    measurements.add(`${row}, peak`, 'MB', 'less', side.name, peakBytes / 1e6);
  }

  await warmUp(saturating, sides, 1, run);
  await measureLoads(part, saturating, sides, run, measurements);
  for (const side of sides)
    measurements.add(`${part}: memory, peak`, 'MB', 'less', side.name, memory(side.pid).peakBytes / 1e6);
}

/** A call of one small message, answered by one. */
function grpcLoad(scratch: string): HttpLoad {
  const body = join(scratch, 'message');
  writeFileSync(body, Buffer.from([0, 0, 0, 0, 5, 1, 2, 3, 4, 5]));
  return {
    name: 'gRPC unary, 8 connections of 16 streams',
    version: '2',
    connections: 8,
    streams: 16,
    body,
    headers: ['content-type: application/grpc', 'te: trailers'],
  };
}

async function warmUp(
  loads: readonly HttpLoad[],
  sides: readonly Side[],
  seconds: number,
  { bench }: Run,
): Promise<void> {
  for (const load of loads)
    for (const side of sides) await httpLoad(load, side.ports[load.version], seconds, bench.scratch);
}

async function measureLoads(
  prefix: string,
  loads: readonly HttpLoad[],
  sides: readonly Side[],
  run: Run,
  measurements: Measurements,
): Promise<void> {
  for (let round = 1; round <= run.rounds; round++) {
    for (const load of loads) {
      for (const side of sides) {
        process.stderr.write(`${prefix}, round ${round} of ${run.rounds}: ${load.name}, ${side.name}\n`);
        await measure(`${prefix}: ${load.name}`, load, side, run, measurements);
      }
    }
  }
}

async function measure(
  row: string,
  load: HttpLoad,
  side: Side,
  { seconds, bench }: Run,
  measurements: Measurements,
): Promise<void> {
  const before = cpuSeconds(side.pid);
  const result = await httpLoad(load, side.ports[load.version], seconds, bench.scratch);
  const cpu = cpuSeconds(side.pid) - before;
  if (result.failures > 0) throw new Error(`${row}, ${side.name}: ${result.failures} requests failed`);
  if (load.perSecond === undefined) measurements.add(row, 'requests/s', 'more', side.name, result.perSecond);
  else if (result.perSecond < load.perSecond * KEPT_RATE)
    throw new Error(`${row}, ${side.name}: only ${result.perSecond} requests/s`);
  measurements.add(`${row}, p50`, 'µs', 'less', side.name, result.p50Us);
  measurements.add(`${row}, p99`, 'µs', 'less', side.name, result.p99Us);
  const counted = result.isWarmedUp ? seconds / (seconds + WARM_UP_SECONDS) : 1;
  measurements.add(
    `${row}, CPU`,
    'CPU-µs each',
    'less',
    side.name,
    ((cpu * counted) / result.requests) * 1e6,
  );
}

/** With less than this share of the rate that was asked for, a latency is that of another load. */
const KEPT_RATE = 0.95;

function programIn(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(':').filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

function factsOf(rounds: number, seconds: number, envoy: string | undefined): Record<string, string> {
  const [first] = cpus();
  const version = envoy === undefined ? 'none' : execFileSync(envoy, ['--version'], { encoding: 'utf8' });
  return {
    plain:
      'load generator → proxy → backend, in clear on loopback; for ambit the engine alone, for envoy one route to one cluster',
    hbone:
      'load generator → ztunnel → HBONE → waypoint → HBONE → ztunnel → backend; both ztunnels one process, the same program for both sides',
    rules:
      'as hbone; 20 rules of which the last allows the request (client, method, path, token), and a token signed with RS256 whose check both sides remember',
    'requests at a fixed rate':
      'before any other load, from sides just started; memory is the resident set, at its end and at its highest so far',
    'each side': 'one process, one thread of traffic (envoy: --concurrency 1)',
    rounds: `${rounds} of ${seconds} s, median; sides interleaved`,
    machine: `${cpus().length} × ${first?.model.trim() ?? 'unknown'}, load generator and backend on the same cores`,
    kernel: readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim(),
    node: process.version,
    envoy: /version: .*?\/([^/]+)\//.exec(version)?.[1] ?? version.trim(),
  };
}

/** The loads: what they print, and nothing of our own in the path; standard tools wherever there is one. */
import { IPERF_PORT, REDIS_PORT, runIn, SERVER_IP, type Topology } from './topology.ts';

const RUN_TIMEOUT_MS = 120_000;

export interface BulkResult {
  readonly bitsPerSecond: number;
  readonly bytes: number;
}

/** iperf3 for `seconds`, from client to server or back. */
export async function bulk(
  topology: Topology,
  options: { readonly connections: number; readonly reverse: boolean; readonly seconds: number },
): Promise<BulkResult> {
  const output = await runIn(
    topology.client,
    [
      ...['iperf3', '--client', SERVER_IP, '--port', String(IPERF_PORT), '--json'],
      ...['--time', String(options.seconds), '--parallel', String(options.connections)],
      ...(options.reverse ? ['--reverse'] : []),
    ],
    RUN_TIMEOUT_MS,
  );
  const { end } = JSON.parse(output) as { end: { sum_received: { bits_per_second: number; bytes: number } } };
  return { bitsPerSecond: end.sum_received.bits_per_second, bytes: end.sum_received.bytes };
}

export interface RequestsResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly requests: number;
}

/** redis-benchmark: GET of a 64-byte value, on kept connections or with a new connection for each request. */
export async function requests(
  topology: Topology,
  options: { readonly connections: number; readonly requests: number; readonly keepAlive: boolean },
): Promise<RequestsResult> {
  const output = await runIn(
    topology.client,
    [
      ...['redis-benchmark', '-h', SERVER_IP, '-p', String(REDIS_PORT), '--csv', '-t', 'get', '-d', '64'],
      ...[
        '-c',
        String(options.connections),
        '-n',
        String(options.requests),
        '-k',
        options.keepAlive ? '1' : '0',
      ],
    ],
    RUN_TIMEOUT_MS,
  );
  return { ...parseRedisCsv(output), requests: options.requests };
}

/** The value that {@link requests} reads. */
export async function seed(topology: Topology): Promise<void> {
  await runIn(
    topology.client,
    [
      'redis-benchmark',
      '-h',
      SERVER_IP,
      '-p',
      String(REDIS_PORT),
      '-q',
      '-t',
      'set',
      '-d',
      '64',
      '-c',
      '1',
      '-n',
      '100',
    ],
    RUN_TIMEOUT_MS,
  );
}

/** Of one kind of request. */
export interface PacedSamples {
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface PacedResult {
  /** With a connection each. */
  readonly fresh: PacedSamples;
  readonly held: PacedSamples;
}

/** paced-load.ts: so many requests a second on new connections, and as many on held ones. No standard tool does the former. */
export async function paced(
  topology: Topology,
  options: { readonly perSecond: number; readonly heldConnections: number; readonly seconds: number },
): Promise<PacedResult> {
  const script = new URL('./paced-load.ts', import.meta.url).pathname;
  const numbers = [REDIS_PORT, options.perSecond, options.heldConnections, options.seconds].map(String);
  const output = await runIn(
    topology.client,
    [process.execPath, script, SERVER_IP, ...numbers],
    RUN_TIMEOUT_MS,
  );
  return JSON.parse(output) as PacedResult;
}

function parseRedisCsv(output: string): Omit<RequestsResult, 'requests'> {
  const rows = output
    .trim()
    .split('\n')
    .map((line) => line.split(',').map((cell) => cell.replaceAll('"', '').trim()));
  const header = rows.find((row) => row.includes('rps')) ?? [];
  const values = rows.findLast((row) => row[0] === 'GET') ?? [];
  const column = (name: string) => {
    const value = Number(values[header.indexOf(name)]);
    if (!Number.isFinite(value)) throw new Error(`redis-benchmark printed no ${name}:\n${output}`);
    return value;
  };
  return { perSecond: column('rps'), p50Ms: column('p50_latency_ms'), p99Ms: column('p99_latency_ms') };
}

/** Load by other people's tools: wrk for HTTP/1.1, h2load for HTTP/2 and where the rate is given; what they printed, as numbers. */
import { execFile } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface HttpLoad {
  readonly name: string;
  readonly version: '1.1' | '2';
  readonly connections: number;
  /** Requests at a time on each connection. */
  readonly streams: number;
  /** A file that each request carries. */
  readonly body?: string;
  readonly headers?: readonly string[];
  /** Default: `/`. */
  readonly path?: string;
  /** Requests begun a second, on all connections together. Default: as many as are answered. */
  readonly perSecond?: number;
}

/** h2load bears its load for so long before it counts. */
export const WARM_UP_SECONDS = 1;

export interface HttpResult {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** Answers other than 2xx, and connections that broke. */
  readonly failures: number;
  /** A part of the load came before what is counted here. */
  readonly isWarmedUp: boolean;
}

export function httpLoad(
  load: HttpLoad,
  port: number,
  seconds: number,
  scratch: string,
): Promise<HttpResult> {
  const isWrks = load.version === '1.1' && load.perSecond === undefined;
  return isWrks ? wrk(load, port, seconds) : h2load(load, port, seconds, scratch);
}

const urlOf = ({ path = '/' }: HttpLoad, port: number) => `http://127.0.0.1:${port}${path}`;
const headersOf = ({ headers = [] }: HttpLoad) => headers.flatMap((header) => ['-H', header]);

async function wrk(load: HttpLoad, port: number, seconds: number): Promise<HttpResult> {
  const args = ['-t1', `-c${load.connections}`, `-d${seconds}s`, '--latency', ...headersOf(load)];
  const { stdout } = await run('wrk', [...args, urlOf(load, port)]);
  const broken =
    /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout)?.slice(1) ?? [];
  const failures = [...broken, /Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? '0'];
  return {
    requests: Number(/(\d+) requests in/.exec(stdout)?.[1]),
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    p50Us: microseconds(/50%\s+([\d.]+)(us|ms|s)/.exec(stdout)),
    p99Us: microseconds(/99%\s+([\d.]+)(us|ms|s)/.exec(stdout)),
    failures: failures.reduce((sum, text) => sum + Number(text), 0),
    isWarmedUp: false,
  };
}

const UNITS: Readonly<Record<string, number>> = { us: 1, ms: 1e3, s: 1e6 };

function microseconds(match: RegExpExecArray | null): number {
  return Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? Number.NaN);
}

async function h2load(load: HttpLoad, port: number, seconds: number, scratch: string): Promise<HttpResult> {
  const log = `${scratch}/h2load.log`;
  rmSync(log, { force: true });
  const { stdout } = await run('h2load', [
    '-t1',
    `-c${load.connections}`,
    `-m${load.streams}`,
    `-D${seconds}`,
    `--warm-up-time=${WARM_UP_SECONDS}`,
    `--log-file=${log}`,
    ...(load.body === undefined ? [] : ['-d', load.body]),
    ...(load.version === '1.1' ? ['--h1'] : []),
    ...(load.perSecond === undefined ? [] : [`--rps=${load.perSecond / load.connections}`]),
    ...headersOf(load),
    urlOf(load, port),
  ]);
  const took = readFileSync(log, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, status, us] = line.split('\t');
      return status === '200' ? [Number(us)] : [];
    })
    .sort((a, b) => a - b);
  const counts = /requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed/.exec(stdout);
  const other = /status codes: \d+ 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx/.exec(stdout)?.slice(1) ?? [];
  return {
    requests: Number(counts?.[1]),
    perSecond: Number(/finished in [^,]+, ([\d.]+) req\/s/.exec(stdout)?.[1]),
    p50Us: took[Math.floor(took.length * 0.5)] ?? Number.NaN,
    p99Us: took[Math.floor(took.length * 0.99)] ?? Number.NaN,
    failures: [counts?.[2] ?? '0', ...other].reduce((sum, text) => sum + Number(text), 0),
    isWarmedUp: true,
  };
}

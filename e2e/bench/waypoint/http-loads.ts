/** Load by other people's tools: wrk for HTTP/1.1, h2load for HTTP/2; what they printed, as numbers. */
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
}

export interface HttpResult {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** Answers other than 2xx, and connections that broke. */
  readonly failures: number;
}

export function httpLoad(
  load: HttpLoad,
  port: number,
  seconds: number,
  scratch: string,
): Promise<HttpResult> {
  return load.version === '1.1' ? wrk(load, port, seconds) : h2load(load, port, seconds, scratch);
}

async function wrk({ connections }: HttpLoad, port: number, seconds: number): Promise<HttpResult> {
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', `http://127.0.0.1:${port}/`];
  const { stdout } = await run('wrk', args);
  const broken =
    /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout)?.slice(1) ?? [];
  const failures = [...broken, /Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? '0'];
  return {
    requests: Number(/(\d+) requests in/.exec(stdout)?.[1]),
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    p50Us: microseconds(/50%\s+([\d.]+)(us|ms|s)/.exec(stdout)),
    p99Us: microseconds(/99%\s+([\d.]+)(us|ms|s)/.exec(stdout)),
    failures: failures.reduce((sum, text) => sum + Number(text), 0),
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
    '--warm-up-time=1',
    `--log-file=${log}`,
    ...(load.body === undefined ? [] : ['-d', load.body]),
    ...(load.headers ?? []).flatMap((header) => ['-H', header]),
    `http://127.0.0.1:${port}/`,
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
  };
}

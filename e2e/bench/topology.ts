/**
 * Two pods on one link, made fresh for each measurement. Runs inside the sandbox of tools/netns.ts, which removes what is
 * left.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';

export const CLIENT_IP = '10.77.0.2';
export const SERVER_IP = '10.77.0.3';
export const IPERF_PORT = 5201;
export const REDIS_PORT = 6379;

/**
 * Sockets in TIME_WAIT that a pod keeps at most. By the kernel's default all that a load leaves are kept for a minute:
 * after some ten thousand connections to one server a free port is looked for most of the time, by the load tool itself
 * (16 at a time, without any proxy: 1,700 new connections a second instead of 47,000) and by whoever proxies.
 */
export const MAX_TIME_WAIT_SOCKETS = 2_000;

export interface Topology extends AsyncDisposable {
  /** Names for `ip netns exec`. */
  readonly client: string;
  readonly server: string;
  /** Where the ztunnel of the server's node runs, if that has one of its own. */
  readonly serverNode: string;
  /** The link that both pods are on, seen from the client's side: what crosses it is what is on the wire. */
  readonly clientInterface: string;
}

let made = 0;

/** Makes both namespaces and starts the servers that the load tools talk to; nothing of it is left if that fails. */
export async function makeTopology(): Promise<Topology> {
  await using scope = new AsyncDisposableStack();
  made += 1;
  const client = `bench-c${made}`;
  const server = `bench-s${made}`;
  const serverNode = `bench-n${made}`;
  for (const name of [client, server, serverNode]) {
    ip('netns', 'add', name);
    scope.defer(() => void ip('netns', 'delete', name));
  }
  ip('-n', serverNode, 'link', 'set', 'lo', 'up');
  ip('link', 'add', 'dev', 'eth0', 'netns', client, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', server);
  for (const [name, address] of [
    [client, CLIENT_IP],
    [server, SERVER_IP],
  ] as const) {
    ip('-n', name, 'link', 'set', 'lo', 'up');
    ip('-n', name, 'address', 'add', `${address}/24`, 'dev', 'eth0');
    ip('-n', name, 'link', 'set', 'eth0', 'up');
    const limit = `net.ipv4.tcp_max_tw_buckets=${MAX_TIME_WAIT_SOCKETS}`;
    ip('netns', 'exec', name, 'sysctl', '--quiet', '--write', limit);
  }
  for (const command of [
    ['iperf3', '--server', '--port', String(IPERF_PORT)],
    [
      ...['redis-server', '--port', String(REDIS_PORT), '--protected-mode', 'no', '--bind', '0.0.0.0'],
      ...['--save', '', '--maxclients', '9000', '--tcp-backlog', '4096', '--loglevel', 'warning'],
    ],
  ]) {
    const started = startIn(server, command);
    scope.defer(() => end(started));
  }
  await listening(server, IPERF_PORT);
  await listening(server, REDIS_PORT);
  const owned = scope.move();
  return {
    client,
    server,
    serverNode,
    clientInterface: 'eth0',
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Starts a program in a namespace; its output is dropped. */
function startIn(namespace: string, command: readonly string[]): ChildProcess {
  return spawn('ip', ['netns', 'exec', namespace, ...command], { stdio: 'ignore' });
}

/** Runs a program in a namespace to its end and gives its standard output. */
export async function runIn(
  namespace: string,
  command: readonly string[],
  timeoutMs: number,
): Promise<string> {
  const child = spawn('ip', ['netns', 'exec', namespace, ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: timeoutMs,
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  const output = Buffer.concat(chunks).toString();
  if (code !== 0)
    throw new Error(`${command.join(' ')}: ended with ${code ?? signal}\n${output.slice(-2_000)}`);
  return output;
}

/** Ends a child and waits for it. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await closed;
  clearTimeout(timer);
}

export function ip(...args: readonly string[]): string {
  const result = spawnSync('ip', args, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`ip ${args.join(' ')}: ${result.stderr.trim()}`);
  return result.stdout;
}

async function listening(namespace: string, port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (ip('netns', 'exec', namespace, 'ss', '-Hltn', `sport = :${port}`).trim() !== '') return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing listens on ${port} in ${namespace} after 5 s`);
}

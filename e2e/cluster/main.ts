/**
 * `node e2e/cluster/main.ts COMMAND`: a cluster by hand, the same that the suites get.
 *
 * Ctrl-C during `up` removes what was made so far.
 */
import { parseArgs } from 'node:util';
import { messageOf } from '@ambit/core/errors';
import { usageProblem } from '@ambit/core/usage-problem';
import { installGatewayApi } from './gateway-api.ts';
import type { Cluster } from './provider.ts';
import { localProvider } from './providers.ts';

const USAGE = `usage: node e2e/cluster/main.ts COMMAND [--name NAME]      (default name: ambit)
  up [ARCHIVE…] [--nodes 2] [--ip-family ipv4|dual]
                                           makes a cluster of this machine (needs root), with those images
  down                                     removes it; nothing stays behind
  list                                     the clusters of this machine
  kubeconfig                               where its kubeconfig is
  gateway-api                              installs the Gateway API, which waypoints need
  load ARCHIVE…                            brings image archives to every node
  exec NODE -- COMMAND…                    runs a command on a node, as root
  add-node | remove-node NODE
  stop-api-server | start-api-server
  logs FOLDER                              writes logs and objects into a folder
`;
const IMAGES = { hub: 'ambit.local', tag: 'e2e' };

const say = (line: string) => process.stdout.write(`${line}\n`);

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      name: { type: 'string', default: 'ambit' },
      nodes: { type: 'string', default: '2' },
      'ip-family': { type: 'string', default: 'ipv4' },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const [command = '', ...args] = positionals;
  const { name } = values;
  const provider = localProvider(process.env);
  const stopped = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => stopped.abort(new Error(`stopped by ${signal}`)));
  const started = performance.now();
  const report = (line: string) =>
    say(`${((performance.now() - started) / 1_000).toFixed(1).padStart(6)}s  ${line}`);
  switch (command) {
    case 'up': {
      const ipFamily = values['ip-family'];
      if (ipFamily !== 'ipv4' && ipFamily !== 'dual') return usage();
      const options = { name, nodes: Number(values.nodes), ipFamily, images: IMAGES } as const;
      const archives = args.length > 0 && { archives: Promise.resolve(args) };
      await provider.up({ ...options, ...archives }, report, stopped.signal);
      return 0;
    }
    case 'down':
      await provider.down(name, report);
      return 0;
    case 'list':
      for (const one of provider.list())
        say(`${one.name}\t${one.up ? 'up' : 'not up: down removes what is left of it'}`);
      return 0;
    case 'gateway-api': {
      const { description } = await provider.attach({ name, images: IMAGES });
      await installGatewayApi(description.kubeconfig, report, stopped.signal);
      return 0;
    }
    case '':
      return usage();
    default:
      return await onCluster(await provider.attach({ name, images: IMAGES }), command, args);
  }
}

async function onCluster(cluster: Cluster, command: string, args: readonly string[]): Promise<number> {
  const [first = '', ...rest] = args;
  switch (command) {
    case 'kubeconfig':
      say(cluster.description.kubeconfig);
      return 0;
    case 'load':
      if (first === '') return usage();
      await cluster.load(args);
      return 0;
    case 'exec': {
      if (rest.length === 0) return usage();
      const { exitCode, stdout, stderr } = await cluster.nodeExec(first, rest);
      process.stdout.write(stdout);
      process.stderr.write(stderr);
      return exitCode;
    }
    case 'add-node':
      say(await cluster.addNode());
      return 0;
    case 'remove-node':
      await cluster.removeNode(first);
      return 0;
    case 'stop-api-server':
      await cluster.stopApiServer();
      return 0;
    case 'start-api-server':
      await cluster.startApiServer();
      return 0;
    case 'logs':
      if (first === '') return usage();
      await cluster.logs(first);
      return 0;
    default:
      return usage();
  }
}

function usage(): number {
  process.stderr.write(USAGE);
  return 2;
}

try {
  process.exitCode = await main();
} catch (error) {
  const problem = usageProblem(error);
  process.stderr.write(`cluster: ${problem ?? messageOf(error)}\n${problem === undefined ? '' : USAGE}`);
  process.exitCode = problem === undefined ? 1 : 2;
}

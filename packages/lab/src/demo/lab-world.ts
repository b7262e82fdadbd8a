/** The demo's verbs on a running lab. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { systemClock } from '@ambit/core/clock';
import { namespaces, type Pod, pods, services } from '@ambit/kube/resources/core';
import { applyAll, deleteAll, parseManifests } from '../apply.ts';
import type { Lab } from '../lab.ts';
import { NoSuchPodError } from '../pod-access.ts';
import { parseAccessLine } from './access-line.ts';
import { OUTSIDE, PROGRAMS, SHOP } from './manifests.ts';
import type { CommandOutcome, LoggedConnection, PodInstance, PodName, World } from './world.ts';

const AMBIT = new URL('../../../cli/src/main.ts', import.meta.url).pathname;
const COMMAND_TIMEOUT_MS = 30_000;
const REDIRECTION_ANNOTATION = 'ambient.istio.io/redirection';

export function labWorld(lab: Lab, environment: Readonly<Record<string, string | undefined>>): World {
  const { client } = lab;
  const readLines = new Map<string, number>();

  /** Lines of a proxy's log that were not read before. */
  const newLines = (pod: PodName): readonly string[] => {
    const key = `${pod.namespace}/${pod.name}`;
    const lines = lab.logsOf(pod).split('\n').slice(0, -1);
    const fresh = lines.slice(readLines.get(key) ?? 0);
    readLines.set(key, lines.length);
    return fresh;
  };

  return {
    apply: (yaml, signal) => applyAll(client, parseManifests(yaml), signal),
    remove: (yaml, signal) => deleteAll(client, parseManifests(yaml), signal),
    labelNamespace: async (name, label, value, signal) => {
      const body = { metadata: { labels: { [label]: value ?? null } } };
      await client.patch(namespaces, { name }, { type: 'merge', body }, {}, signal);
    },
    labelService: async (namespace, name, label, value, signal) => {
      const body = { metadata: { labels: { [label]: value ?? null } } };
      await client.patch(services, { namespace, name }, { type: 'merge', body }, {}, signal);
    },
    pods: async (namespace, signal) => (await client.list(pods, { namespace }, signal)).items.map(instanceOf),
    runIn: async (pod, program, args, signal) => {
      try {
        return await lab.exec(pod, [process.execPath, `${PROGRAMS}${program}.ts`, ...args], signal);
      } catch (error) {
        // A pod that does not run yet answers as a command that cannot be run.
        if (error instanceof NoSuchPodError) return { status: 127, output: error.message };
        throw error;
      }
    },
    ambit: (args, signal) =>
      runCommand(
        [process.execPath, AMBIT, ...args],
        { ...environment, KUBECONFIG: lab.kubeconfigPath },
        signal,
      ),
    capture: async (ms, signal) => {
      const all = await Promise.all(
        [SHOP, OUTSIDE].map((namespace) => client.list(pods, { namespace }, signal)),
      );
      const ips = all
        .flatMap(({ items }) => items.flatMap((pod) => pod.status?.podIPs ?? []))
        .map(({ ip }) => ip);
      return await lab.capture(ms, signal, { hosts: ips });
    },
    loggedConnections: async (signal) => {
      const selection = { namespace: 'istio-system', labelSelector: 'app=ztunnel' };
      const { items } = await client.list(pods, selection, signal);
      return items.flatMap(({ metadata: { namespace = '', name }, spec }) =>
        newLines({ namespace, name }).flatMap((line): LoggedConnection[] => {
          const connection = parseAccessLine(line);
          return connection ? [{ ...connection, node: spec?.nodeName ?? '' }] : [];
        }),
      );
    },
    loggedRequests: async ({ namespace, name }, signal) => {
      const labelSelector = `gateway.networking.k8s.io/gateway-name=${name}`;
      const { items } = await client.list(pods, { namespace, labelSelector }, signal);
      return items
        .flatMap(({ metadata }) => newLines({ namespace, name: metadata.name }))
        .filter((line) => / HTTP\/[12]/.test(line));
    },
    nowMs: () => systemClock.now(),
    sleep: (ms, signal) => systemClock.sleep(ms, signal),
    monotonicMs: () => systemClock.monotonicMs(),
  };
}

function instanceOf({ metadata, status }: Pod): PodInstance {
  const { containerStatuses = [] } = (status ?? {}) as {
    readonly containerStatuses?: readonly {
      readonly restartCount?: number;
      readonly state?: { readonly running?: { readonly startedAt?: string } };
    }[];
  };
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    uid: metadata.uid ?? '',
    startedAt: containerStatuses.map((container) => container.state?.running?.startedAt ?? '').join(' '),
    restarts: containerStatuses.reduce((sum, container) => sum + (container.restartCount ?? 0), 0),
    enrolled: metadata.annotations?.[REDIRECTION_ANNOTATION] === 'enabled',
  };
}

async function runCommand(
  command: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<CommandOutcome> {
  const [file = '', ...args] = command;
  const child = spawn(file, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environment,
    signal,
    timeout: COMMAND_TIMEOUT_MS,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const [status] = (await once(child, 'close')) as [number | null];
  return { status: status ?? 137, output };
}

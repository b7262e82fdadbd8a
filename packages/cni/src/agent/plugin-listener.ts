/**
 * The socket that the CNI plugin calls: HTTP over a Unix socket. `/cmdadd` for each pod that starts, `/cmdcheck`, and the
 * notices `/cmddel` and `/cmdgc`; `/status` says whether this agent can enrol pods.
 *
 * An answer of 200 lets the pod start; anything else makes the runtime try again. Our plugin sends every pod and leaves the
 * decision to us; Istio's sends eligible pods alone, and fails for one that is not, as with Istio's agent.
 */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { dirname, join } from 'node:path';
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { Pod } from '@ambit/kube/resources/core';
import {
  MAX_PLUGIN_BODY_BYTES,
  MAX_PLUGIN_CALLS,
  PLUGIN_CALL_TIMEOUT_MS,
  POD_APPEARS_TRIES,
  POD_APPEARS_WAIT_MS,
} from './limits.ts';
import { listOf, parseJson, recordOf, textOf } from '../json.ts';
import { decodeEvent, type PluginEvent } from '../plugin-event.ts';
import type { NodePods } from './pods.ts';
import type { NetnsReports } from './reports.ts';

export interface PluginListenerOptions {
  readonly socketPath: string;
  /** In front of the paths that the plugin sends: how this process sees the host. */
  readonly hostPrefix: string;
  readonly pods: Pick<NodePods, 'eligibilityOf' | 'enrolStarting' | 'isEnrolled'>;
  readonly reports: Pick<NetnsReports, 'set' | 'deleteContainer' | 'keepContainers'>;
  /** What is not ready yet; empty when pods can be enrolled. */
  readonly pending: () => readonly string[];
  /**
   * The pod as last seen, or asked for now; waits until its namespace's labels are known as well. Nobody may take a
   * namespace that was not seen yet for one without labels.
   */
  readonly findPod: (namespace: string, name: string, signal: AbortSignal) => Promise<Pod | undefined>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onAnswer: (status: number) => void;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

export async function startPluginListener(options: PluginListenerOptions): Promise<AsyncDisposable> {
  const { socketPath, log } = options;
  const folder = dirname(socketPath);
  mkdirSync(folder, { recursive: true });
  // Who may call this may hand a namespace to the mesh as somebody's pod. Runtimes and their plugins are root.
  chmodSync(folder, 0o750);
  rmSync(socketPath, { force: true });
  const server = createServer({ requestTimeout: PLUGIN_CALL_TIMEOUT_MS }, (request, response) => {
    void answer(request, response, options);
  });
  server.maxConnections = MAX_PLUGIN_CALLS;
  server.on('error', (error) => log.error('the plugin socket failed', { error: messageOf(error) }));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
  chmodSync(socketPath, 0o600);
  return { [Symbol.asyncDispose]: () => close(server, socketPath) };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: PluginListenerOptions,
): Promise<void> {
  response.on('error', () => undefined);
  const { status, body } = await answerTo(request, options);
  options.onAnswer(status);
  if (status !== 200) options.log.warn('a pod may not start', { status, reason: body.trim() });
  if (response.destroyed) return;
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(body);
}

async function answerTo(request: IncomingMessage, options: PluginListenerOptions): Promise<Answer> {
  try {
    const text = await readBody(request);
    if (text === undefined)
      return { status: 400, body: `a body has at most ${MAX_PLUGIN_BODY_BYTES} bytes\n` };
    return await route(request.url ?? '', parseJson(text), options);
  } catch (error) {
    return { status: 500, body: `${problemOf(error, options.pending())}\n` };
  }
}

/** Whoever looks at a pod that does not start sees this and nothing else of the agent: so it says what is waited for. */
function problemOf(error: unknown, pending: readonly string[]): string {
  if ((error as Partial<Error> | undefined)?.name !== 'TimeoutError') return messageOf(error);
  const late = `no answer within ${PLUGIN_CALL_TIMEOUT_MS} ms`;
  return pending.length === 0 ? late : `${late}: the node agent is not ready, pending: ${pending.join(', ')}`;
}

async function route(path: string, body: unknown, options: PluginListenerOptions): Promise<Answer> {
  const signal = AbortSignal.timeout(PLUGIN_CALL_TIMEOUT_MS);
  switch (path) {
    case '/cmdadd':
    case '/cmdcheck': {
      const event = decodeEvent(body);
      if (!event) return { status: 400, body: 'the body is no event of a CNI plugin\n' };
      return await (path === '/cmdadd' ? add : check)(event, options, signal);
    }
    case '/cmddel':
      options.reports.deleteContainer(textOf(recordOf(body)?.['ContainerID']) ?? '');
      return { status: 200, body: '' };
    case '/cmdgc':
      options.reports.keepContainers(
        new Set(listOf(recordOf(body)?.['ContainerIDs']).flatMap((id) => textOf(id) ?? [])),
      );
      return { status: 200, body: '' };
    case '/status': {
      const pending = options.pending();
      return pending.length === 0
        ? { status: 200, body: '' }
        : { status: 503, body: `not ready, pending: ${pending.join(', ')}\n` };
    }
    default:
      return { status: 404, body: `there is no ${path}\n` };
  }
}

async function add(event: PluginEvent, options: PluginListenerOptions, signal: AbortSignal): Promise<Answer> {
  const pod = await appearing(event, options, signal);
  if (typeof pod === 'string') return { status: 500, body: pod };
  const name = `${event.podNamespace}/${event.podName}`;
  const report = { path: join(options.hostPrefix, event.netns), containerId: event.containerId };
  options.reports.set(pod.metadata.uid ?? '', report);
  const eligible = options.pods.eligibilityOf(pod);
  if (!eligible.eligible) {
    return event.undecided
      ? { status: 200, body: `${JSON.stringify({ enrolled: false, reason: eligible.reason })}\n` }
      : { status: 500, body: `pod ${name} is not to be enrolled: ${eligible.reason}\n` };
  }
  if (event.ips.length === 0)
    return { status: 400, body: `pod ${name} is to be enrolled and has no address\n` };
  await options.pods.enrolStarting(pod, event.ips, signal);
  return { status: 200, body: event.undecided ? `${JSON.stringify({ enrolled: true })}\n` : '' };
}

async function check(
  event: PluginEvent,
  options: PluginListenerOptions,
  signal: AbortSignal,
): Promise<Answer> {
  const pod = await appearing(event, options, signal);
  if (typeof pod === 'string') return { status: 500, body: pod };
  const fine = !options.pods.eligibilityOf(pod).eligible || options.pods.isEnrolled(pod.metadata.uid ?? '');
  return fine
    ? { status: 200, body: '' }
    : {
        status: 500,
        body: `pod ${event.podNamespace}/${event.podName} belongs into the mesh and is not enrolled\n`,
      };
}

/** The runtime may hear of a pod before this agent does. @returns the pod, or why there is none. */
async function appearing(
  event: PluginEvent,
  options: PluginListenerOptions,
  signal: AbortSignal,
): Promise<Pod | string> {
  const name = `${event.podNamespace}/${event.podName}`;
  for (let attempt = 1; ; attempt++) {
    const pod = await options.findPod(event.podNamespace, event.podName, signal);
    if (pod && (event.podUid === '' || pod.metadata.uid === event.podUid)) return pod;
    if (attempt >= POD_APPEARS_TRIES) {
      return pod
        ? `pod ${name} has UID ${pod.metadata.uid}, and the runtime starts ${event.podUid}\n`
        : `the API server does not know pod ${name}\n`;
    }
    await options.clock.sleep(POD_APPEARS_WAIT_MS, signal);
  }
}

/** `undefined` when there is more of it than may be. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_PLUGIN_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function close(server: Server, socketPath: string): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
  rmSync(socketPath, { force: true });
}

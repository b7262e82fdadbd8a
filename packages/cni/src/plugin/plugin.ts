/**
 * The plugin itself: one command in, one answer out.
 *
 * It changes nothing: the previous plugin's result goes on as it came. It asks the agent alone and holds no credential.
 * A pod that should be in the mesh never starts outside it: when the agent is silent, see decide/without-agent.ts.
 */
import { join } from 'node:path';
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { JsonRecord } from '../json.ts';
import {
  AGENT_ANSWER_TIMEOUT_MS,
  AGENT_NOTICE_TIMEOUT_MS,
  AGENT_RETRY_MAX_MS,
  AGENT_RETRY_MS,
} from '../limits.ts';
import { AGENT_DAEMON_SET, EVENT_SOCKET, NODE_FILE } from '../names.ts';
import { decodeNodeFile } from '../node-file.ts';
import { encodeEvent } from '../plugin-event.ts';
import { AgentSilentError, type AskAgent } from './agent-client.ts';
import { withoutAgent } from './decide/without-agent.ts';
import { CNI_CODES, CniError } from './errors.ts';
import {
  type CniRequest,
  CURRENT_VERSION,
  parseCommand,
  parseRequest,
  SUPPORTED_VERSIONS,
} from './request.ts';

export interface PluginDependencies {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readStdin: () => Promise<string>;
  readonly askAgent: AskAgent;
  /** `undefined` if there is no such file, or it cannot be read. */
  readonly readFile: (path: string) => string | undefined;
  readonly clock: Clock;
  readonly log: (message: string) => void;
}

export interface PluginOutcome {
  /** Empty for commands that answer with nothing. */
  readonly stdout: string;
  readonly exitCode: 0 | 1;
}

export async function runPlugin(deps: PluginDependencies): Promise<PluginOutcome> {
  let cniVersion: string = CURRENT_VERSION;
  try {
    const command = parseCommand(deps.env);
    if (command === 'VERSION')
      return answer({ cniVersion: CURRENT_VERSION, supportedVersions: SUPPORTED_VERSIONS });
    const request = parseRequest(command, deps.env, await deps.readStdin());
    cniVersion = request.config.cniVersion;
    const result = await perform(request, deps);
    return result ? answer(result) : { stdout: '', exitCode: 0 };
  } catch (error) {
    deps.log(messageOf(error));
    const { cniCode, details } =
      error instanceof CniError ? error : { cniCode: CNI_CODES.ioFailure, details: '' };
    const told = { cniVersion, code: cniCode, msg: messageOf(error), ...(details === '' ? {} : { details }) };
    return { stdout: `${JSON.stringify(told, undefined, 4)}\n`, exitCode: 1 };
  }
}

function answer(result: JsonRecord): PluginOutcome {
  return { stdout: `${JSON.stringify(result, undefined, 4)}\n`, exitCode: 0 };
}

async function perform(request: CniRequest, deps: PluginDependencies): Promise<JsonRecord | undefined> {
  const { config } = request;
  switch (request.command) {
    case 'ADD':
      await settle(request, deps, '/cmdadd');
      return config.prevResult ?? { cniVersion: config.cniVersion };
    case 'CHECK':
      if (!config.prevResult) throw new CniError('invalidConfig', 'CHECK needs a prevResult');
      await settle(request, deps, '/cmdcheck');
      return undefined;
    case 'DEL':
      await notify(request, deps, '/cmddel', { ContainerID: request.containerId });
      return undefined;
    case 'GC':
      await notify(request, deps, '/cmdgc', { ContainerIDs: config.validContainers });
      return undefined;
    case 'STATUS':
      await status(request, deps);
      return undefined;
    case 'VERSION':
      return undefined;
    default:
      return request.command satisfies never;
  }
}

/**
 * Has the agent enrol or check the pod; returns if it may run.
 *
 * A pod of the mesh waits a while for an agent that is being replaced, or has no ztunnel yet: a failure costs the kubelet's
 * own pause of 10 to 15 s, and its event is what tells people.
 */
async function settle(request: CniRequest, deps: PluginDependencies, path: string): Promise<void> {
  const outside = notOurs(request);
  if (outside !== undefined) return deps.log(`${request.command}: ${outside}; nothing to do`);
  const { pod, config, netns, containerId } = request;
  const socketPath = join(config.runDirectory, EVENT_SOCKET);
  const { prevResult } = config;
  const body = encodeEvent({
    netns,
    podName: pod.name,
    podNamespace: pod.namespace,
    podUid: pod.uid,
    containerId,
    prevResult,
  });
  const ask = async () => {
    try {
      const { status, body: said } = await deps.askAgent({
        socketPath,
        path,
        body,
        timeoutMs: AGENT_ANSWER_TIMEOUT_MS,
      });
      if (status === 200) return;
      throw new CniError(
        status >= 500 ? 'tryAgainLater' : 'refusedByAgent',
        `the node agent at ${socketPath} did not let pod ${pod.namespace}/${pod.name} start: ${said || 'it gave no reason'}`,
        `HTTP status ${status}`,
      );
    } catch (error) {
      if (!(error instanceof AgentSilentError)) throw error;
      const verdict = silenceVerdict(request, deps, messageOf(error));
      if (!verdict.pass) throw new CniError('tryAgainLater', verdict.reason, '', { cause: error });
      deps.log(verdict.reason);
    }
  };
  const { clock } = deps;
  const untilMs = clock.monotonicMs() + config.agentWaitMs;
  for (let pauseMs = AGENT_RETRY_MS; ; pauseMs = Math.min(2 * pauseMs, AGENT_RETRY_MAX_MS)) {
    try {
      return await ask();
    } catch (error) {
      const isPassing = error instanceof CniError && error.cniCode === CNI_CODES.tryAgainLater;
      if (!isPassing || clock.monotonicMs() + pauseMs > untilMs) throw error;
      await clock.sleep(pauseMs);
    }
  }
}

/** Why a pod is none of the mesh's business, whatever the agent would say. */
function notOurs({ pod, config }: CniRequest): string | undefined {
  if (pod.name === '' || pod.namespace === '') return 'not a pod of Kubernetes';
  if (!config.ambientEnabled) return 'ambient is not enabled';
  if (pod.name.startsWith(`${AGENT_DAEMON_SET}-`) && pod.namespace === config.agentNamespace)
    return 'the agent’s own pod';
  return config.excludedNamespaces.includes(pod.namespace)
    ? `namespace ${pod.namespace} is excluded`
    : undefined;
}

function silenceVerdict({ config, pod }: CniRequest, deps: PluginDependencies, problem: string) {
  const nodeFilePath = join(config.runDirectory, NODE_FILE);
  const text = deps.readFile(nodeFilePath);
  return withoutAgent({
    socketPath: join(config.runDirectory, EVENT_SOCKET),
    problem,
    nodeFilePath,
    nodeFile: text === undefined ? undefined : decodeNodeFile(text),
    namespace: pod.namespace,
    nowMs: deps.clock.now(),
  });
}

/** Tells the agent what it could also find out by itself: a runtime that cleans up is never held up. */
async function notify(
  request: CniRequest,
  deps: PluginDependencies,
  path: string,
  body: JsonRecord,
): Promise<void> {
  const socketPath = join(request.config.runDirectory, EVENT_SOCKET);
  try {
    await deps.askAgent({ socketPath, path, body: JSON.stringify(body), timeoutMs: AGENT_NOTICE_TIMEOUT_MS });
  } catch (error) {
    deps.log(`${request.command}: the node agent at ${socketPath} was not told: ${messageOf(error)}`);
  }
}

/** Fails only when no pod at all could start: without the agent, but with its file, those outside the mesh can. */
async function status(request: CniRequest, deps: PluginDependencies): Promise<void> {
  const socketPath = join(request.config.runDirectory, EVENT_SOCKET);
  try {
    const { status: code, body } = await deps.askAgent({
      socketPath,
      path: '/status',
      body: '{}',
      timeoutMs: AGENT_NOTICE_TIMEOUT_MS,
    });
    if (code !== 200) throw new CniError('notAvailable', `the node agent is not ready: ${body}`);
  } catch (error) {
    if (!(error instanceof AgentSilentError)) throw error;
    const nodeFilePath = join(request.config.runDirectory, NODE_FILE);
    const text = deps.readFile(nodeFilePath);
    if (text !== undefined && decodeNodeFile(text))
      return deps.log(`STATUS: ${messageOf(error)}; going by ${nodeFilePath}`);
    throw new CniError(
      'notAvailable',
      `the node agent does not answer at ${socketPath} (${messageOf(error)}), and there is no readable ${nodeFilePath}`,
    );
  }
}

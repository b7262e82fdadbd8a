/**
 * What a container runtime asks: the command and its arguments from the environment, the network from standard input.
 *
 * Checked in the specification's order and with its codes: environment, configuration, version.
 */
import { parseJson, type JsonRecord, recordOf, textOf, textsOf } from '../json.ts';
import { AGENT_WAIT_MAX_MS, AGENT_WAIT_MS } from '../limits.ts';
import { DEFAULT_RUN_DIRECTORY } from '../names.ts';
import { CniError } from './errors.ts';

export const SUPPORTED_VERSIONS = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;
export const CURRENT_VERSION = '1.1.0';
/** What a configuration means that names no version. */
const UNNAMED_VERSION = '0.1.0';

const COMMANDS = ['ADD', 'CHECK', 'DEL', 'GC', 'STATUS', 'VERSION'] as const;
export type CniCommand = (typeof COMMANDS)[number];

export interface CniRequest {
  readonly command: CniCommand;
  readonly containerId: string;
  readonly netns: string;
  readonly pod: PodArguments;
  readonly config: NetworkConfig;
}

/** From CNI_ARGS; empty where the runtime is not Kubernetes'. */
export interface PodArguments {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
}

export interface NetworkConfig {
  readonly cniVersion: string;
  readonly runDirectory: string;
  readonly ambientEnabled: boolean;
  readonly excludedNamespaces: readonly string[];
  readonly agentNamespace: string;
  readonly agentWaitMs: number;
  readonly prevResult: JsonRecord | undefined;
  /** Containers that the runtime still knows, for GC. */
  readonly validContainers: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

const REQUIRED: Readonly<Record<CniCommand, readonly string[]>> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH'],
  GC: ['CNI_PATH'],
  STATUS: ['CNI_PATH'],
  VERSION: [],
};

/** The first version whose configurations may ask for a command. */
const SINCE: Readonly<Partial<Record<CniCommand, (typeof SUPPORTED_VERSIONS)[number]>>> = {
  CHECK: '0.4.0',
  GC: '1.1.0',
  STATUS: '1.1.0',
};

/** @throws {@link CniError} */
export function parseCommand(env: Environment): CniCommand {
  const given = env['CNI_COMMAND'] ?? '';
  const command = COMMANDS.find((known) => known === given);
  if (command === undefined)
    throw new CniError(
      'invalidEnvironment',
      `CNI_COMMAND is ${given === '' ? 'missing' : `"${given}"`}`,
      `want one of ${COMMANDS.join(', ')}`,
    );
  const missing = REQUIRED[command].filter((name) => !env[name]);
  if (missing.length > 0)
    throw new CniError(
      'invalidEnvironment',
      `required env variables [${missing.join(',')}] missing`,
      `for ${command}`,
    );
  return command;
}

/** @throws {@link CniError} */
export function parseRequest(command: CniCommand, env: Environment, stdin: string): CniRequest {
  const containerId = env['CNI_CONTAINERID'] ?? '';
  if (containerId !== '' && !/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(containerId))
    throw new CniError('invalidEnvironment', `invalid characters in CNI_CONTAINERID "${containerId}"`);
  const pod = parseArguments(env['CNI_ARGS'] ?? '');
  return { command, containerId, netns: env['CNI_NETNS'] ?? '', pod, config: parseConfig(command, stdin) };
}

function parseArguments(text: string): PodArguments {
  const pairs = new Map<string, string>();
  for (const pair of text.split(';').filter((part) => part !== '')) {
    const at = pair.indexOf('=');
    if (at <= 0) throw new CniError('invalidEnvironment', `CNI_ARGS: "${pair}" is not of the form KEY=VALUE`);
    pairs.set(pair.slice(0, at), pair.slice(at + 1));
  }
  const value = (key: string) => pairs.get(key) ?? '';
  return { name: value('K8S_POD_NAME'), namespace: value('K8S_POD_NAMESPACE'), uid: value('K8S_POD_UID') };
}

function parseConfig(command: CniCommand, stdin: string): NetworkConfig {
  const parsed = parseJson(stdin);
  if (parsed === undefined)
    throw new CniError(
      'undecodable',
      'the network configuration on standard input is not JSON',
      shortened(stdin),
    );
  const config = recordOf(parsed);
  if (!config)
    throw new CniError('invalidConfig', 'the network configuration is not an object', shortened(stdin));
  const cniVersion = textOf(config['cniVersion']) ?? UNNAMED_VERSION;
  if (!textOf(config['name'])) throw new CniError('invalidConfig', 'missing network name');
  requireVersion(command, cniVersion);
  const prevResult = recordOf(config['prevResult']);
  if (config['prevResult'] !== undefined && config['prevResult'] !== null && !prevResult)
    throw new CniError('invalidConfig', 'prevResult is not an object');
  return {
    cniVersion,
    runDirectory: textOf(config['cni_agent_run_dir']) || DEFAULT_RUN_DIRECTORY,
    ambientEnabled: config['ambient_enabled'] !== false,
    excludedNamespaces: textsOf(config['exclude_namespaces']),
    agentNamespace: textOf(config['pod_namespace']) ?? '',
    agentWaitMs: waitOf(config['ambit_agent_wait_ms']),
    prevResult,
    validContainers: validContainers(config),
  };
}

function waitOf(value: unknown): number {
  return typeof value === 'number' && value >= 0 ? Math.min(value, AGENT_WAIT_MAX_MS) : AGENT_WAIT_MS;
}

function requireVersion(command: CniCommand, version: string): void {
  const versions: readonly string[] = SUPPORTED_VERSIONS;
  const at = versions.indexOf(version);
  if (at < 0)
    throw new CniError(
      'incompatibleVersion',
      'incompatible CNI versions',
      `config is "${version}", plugin supports ${JSON.stringify(SUPPORTED_VERSIONS)}`,
    );
  const since = SINCE[command];
  if (since !== undefined && at < versions.indexOf(since))
    throw new CniError(
      'incompatibleVersion',
      `config version does not allow ${command}`,
      `config is "${version}", want ${since} or later`,
    );
}

function validContainers(config: JsonRecord): readonly string[] {
  const attachments = config['cni.dev/valid-attachments'] ?? config['cni.dev/attachments'];
  return Array.isArray(attachments)
    ? attachments.map((item) => textOf(recordOf(item)?.['containerID'])).filter((id) => id !== undefined)
    : [];
}

function shortened(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

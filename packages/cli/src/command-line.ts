/** The command line as values: which command, its operands, its options; or a {@link UsageError} that says what is wrong. */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { messageOf } from '@ambit/core/errors';
import { parseDurationMs } from '@ambit/core/config/schema';
import { UsageError } from './errors.ts';
import { ENROL_WAIT_MS } from './limits.ts';

export interface Options {
  readonly output: 'table' | 'json';
  /** `undefined`: the kubeconfig's, or every one where a command lists. */
  readonly namespace: string | undefined;
  readonly node: string | undefined;
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  readonly meshNamespace: string;
  readonly wait: boolean;
  readonly timeoutMs: number;
}

export interface CommandLine {
  readonly command: string;
  readonly operands: readonly string[];
  readonly options: Options;
}

interface CommandShape {
  /** As the help shows them. */
  readonly operands: string;
  readonly min: number;
  readonly max: number;
  readonly summary: string;
  readonly options: readonly (keyof typeof OPTION_HELP)[];
}

/** Every option that some command takes, with its help. */
export const OPTION_HELP = {
  namespace: ['-n, --namespace NAME', 'only this namespace; for why: that of names without one'],
  node: ['--node NAME', 'ask the ztunnel of this node'],
  output: ['-o, --output table|json', 'how to print; default table'],
  wait: ['--no-wait', 'do not wait for the pods to follow'],
  timeout: ['--timeout DURATION', 'how long to wait; default 60s'],
} as const;

export const COMMANDS: Readonly<Record<string, CommandShape>> = {
  why: {
    operands: 'SOURCE DESTINATION[:PORT]',
    min: 2,
    max: 2,
    summary: 'what would become of a connection, and what decides it',
    options: ['namespace', 'output'],
  },
  status: { operands: '', min: 0, max: 0, summary: 'whether the mesh is well', options: ['output'] },
  enroll: {
    operands: 'NAMESPACE | NAMESPACE/POD',
    min: 1,
    max: 1,
    summary: 'take a namespace or a pod into the mesh, without restarting anything',
    options: ['wait', 'timeout', 'output'],
  },
  unenroll: {
    operands: 'NAMESPACE | NAMESPACE/POD',
    min: 1,
    max: 1,
    summary: 'take it out again',
    options: ['wait', 'timeout', 'output'],
  },
  workloads: {
    operands: '',
    min: 0,
    max: 0,
    summary: 'the workloads that a ztunnel knows',
    options: ['namespace', 'node', 'output'],
  },
  services: {
    operands: '',
    min: 0,
    max: 0,
    summary: 'the services that a ztunnel knows',
    options: ['namespace', 'node', 'output'],
  },
  policies: {
    operands: '',
    min: 0,
    max: 0,
    summary: 'the authorization policies that a ztunnel enforces',
    options: ['namespace', 'node', 'output'],
  },
  certificates: {
    operands: '',
    min: 0,
    max: 0,
    summary: 'the certificates that ztunnels hold for their workloads',
    options: ['namespace', 'node', 'output'],
  },
  connections: {
    operands: '',
    min: 0,
    max: 0,
    summary: 'the connections that are open now, with the identities at both ends',
    options: ['namespace', 'node', 'output'],
  },
  version: { operands: '', min: 0, max: 0, summary: 'the version of this command', options: ['output'] },
  help: { operands: '[COMMAND]', min: 0, max: 1, summary: 'this text, or that of one command', options: [] },
};

const PARSED = {
  namespace: { type: 'string', short: 'n' },
  node: { type: 'string' },
  output: { type: 'string', short: 'o' },
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  'mesh-namespace': { type: 'string' },
  wait: { type: 'boolean' },
  timeout: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsOptionsConfig;

/** Options that every command takes. */
const COMMON = ['kubeconfig', 'context', 'mesh-namespace'];
const DEFAULT_MESH_NAMESPACE = 'istio-system';

/** @throws {@link UsageError} */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const { values, positionals } = parse(args);
  const [command = 'help', ...operands] = positionals;
  const shape = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  if (!shape) throw new UsageError(`unknown command "${command}"; "ambit help" lists them`);
  const options = optionsOf(values);
  if (values.help) return { command: 'help', operands: command === 'help' ? operands : [command], options };
  const see = `"ambit help ${command}" says more`;
  const taken = new Set<string>([...COMMON, ...shape.options]);
  const stray = Object.keys(values).find((name) => !taken.has(name));
  if (stray !== undefined) throw new UsageError(`${command} takes no option --${stray}; ${see}`);
  if (operands.length < shape.min) throw new UsageError(`${command} needs ${shape.operands}; ${see}`);
  const extra = operands[shape.max];
  if (extra !== undefined) throw new UsageError(`${command}: unexpected "${extra}"; ${see}`);
  return { command, operands, options };
}

type Values = ReturnType<typeof parse>['values'];

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: PARSED,
      allowPositionals: true,
      allowNegative: true,
      strict: true,
    });
  } catch (error) {
    throw new UsageError(`${parseProblem(messageOf(error))}; "ambit help" lists commands and options`);
  }
}

/** Node's text without its advice, which is about operands that begin with a dash; none of ours does. */
function parseProblem(message: string): string {
  const [unknown, name] = /Unknown option '([^']*)'/.exec(message) ?? [];
  if (unknown !== undefined) return `there is no option ${name}`;
  const [, option, problem] = /Option '([^']*)' (does not take an argument|argument)/.exec(message) ?? [];
  const shown = option?.replace(/ <value>$/, '');
  if (shown === undefined) return message.split(/\. |\n/)[0] ?? message;
  return problem === 'argument' ? `option ${shown} needs a value` : `option ${shown} takes no value`;
}

function optionsOf(values: Values): Options {
  const { output = 'table', timeout } = values;
  if (output !== 'table' && output !== 'json')
    throw new UsageError(`--output is table or json, not "${output}"`);
  const timeoutMs = timeout === undefined ? ENROL_WAIT_MS : parseDurationMs(timeout);
  if (timeoutMs === undefined)
    throw new UsageError(`--timeout wants a duration such as 30s, not "${timeout}"`);
  return {
    output,
    namespace: values.namespace,
    node: values.node,
    kubeconfig: values.kubeconfig,
    context: values.context,
    meshNamespace: values['mesh-namespace'] ?? DEFAULT_MESH_NAMESPACE,
    wait: values.wait ?? true,
    timeoutMs,
  };
}

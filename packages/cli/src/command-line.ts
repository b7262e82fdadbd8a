/** The command line as values: which command, its operands, its options; or a {@link UsageError} that says what is wrong. */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { messageOf } from '@ambit/core/errors';
import { parseDurationMs } from '@ambit/core/config/schema';
import { closest, didYouMean } from './did-you-mean.ts';
import { UsageError } from './errors.ts';
import { PROTOCOLS, type RequestOptions } from './why/request.ts';
import { ENROL_WAIT_MS, INSTALL_WAIT_MS, WAYPOINT_WAIT_MS } from './limits.ts';

export interface Options {
  readonly output: Output;
  /** `undefined`: the kubeconfig's, or every one where a command lists. */
  readonly namespace: string | undefined;
  readonly node: string | undefined;
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  readonly meshNamespace: string;
  readonly wait: boolean;
  readonly timeoutMs: number;
  /** Do it without asking. */
  readonly yes: boolean;
  readonly dryRun: boolean;
  /** `key=value`, in their order. */
  readonly set: readonly string[];
  readonly valuesFiles: readonly string[];
  readonly resetValues: boolean;
  /** Empty: all of them. */
  readonly components: readonly string[];
  readonly forceConflicts: boolean;
  readonly allowDowngrade: boolean;
  readonly release: boolean;
  readonly keepLabels: boolean;
  readonly crds: boolean;
  readonly purge: boolean;
  readonly probe: boolean;
  readonly image: string | undefined;
  readonly allNamespaces: boolean;
  readonly waypoint: WaypointOptions;
  /** Of `why`: the request that is asked about. */
  readonly request: RequestOptions;
}

/** What a waypoint shall be, or which one is meant. */
export interface WaypointOptions {
  readonly name: string;
  /** `undefined`: nothing is said, which means services. */
  readonly trafficType: TrafficType | undefined;
  readonly revision: string | undefined;
  readonly enrolNamespace: boolean;
  readonly overwrite: boolean;
  readonly all: boolean;
}

const TRAFFIC_TYPES = ['service', 'workload', 'all', 'none'] as const;
export type TrafficType = (typeof TRAFFIC_TYPES)[number];

export type Output = 'table' | 'json' | 'yaml';

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
  readonly options: readonly OptionName[];
  /** Where an option means, takes or defaults to something else than {@link OPTION_HELP} says. */
  readonly ownHelp?: Readonly<Partial<Record<OptionName, OptionHelp>>>;
  /** What `--timeout` is without being given. Default: the wait for pods to follow. */
  readonly timeoutMs?: number;
}

type OptionName = keyof typeof OPTION_HELP;
/** As it is written, and what it means. */
type OptionHelp = readonly [written: string, meaning: string];

/** Every option that some command takes, with its help. `--wait` is shown as what changes something. */
export const OPTION_HELP = {
  namespace: ['-n, --namespace NAME', 'only this namespace; default all'],
  node: ['--node NAME', 'ask the ztunnel of this node'],
  output: ['-o, --output table|json', 'how to print; default table'],
  wait: ['--no-wait', 'do not wait for the pods'],
  timeout: ['--timeout DURATION', 'how long to wait, such as 30s (no unit: seconds); default 60s'],
  yes: ['-y, --yes', 'do not ask'],
  'dry-run': ['--dry-run', 'show the plan, checked by the API server, and change nothing'],
  set: ['--set KEY=VALUE', 'a value of the installation; may be given several times'],
  values: ['-f, --values FILE', 'values from a YAML file; later ones win, and --set wins over them'],
  'reset-values': ['--reset-values', 'start from the defaults, not from the values chosen before'],
  component: ['--component NAME', 'only this one: istiod, cni or ztunnel; may be given several times'],
  'force-conflicts': ['--force-conflicts', 'take over fields that somebody else has set'],
  'allow-downgrade': ['--allow-downgrade', 'also go to an older version'],
  release: ['--release', 'take enrolled pods out of the mesh first, and wait until they are'],
  'keep-labels': ['--keep-labels', 'with --release: put the labels back when the mesh is gone'],
  crds: ['--crds', "also remove the mesh's resource kinds, and with them every policy"],
  purge: ['--purge', "also remove the certificate authority's key and the namespace"],
  probe: ['--no-probe', 'look at the API alone; start no pod on any node'],
  image: ['--image REFERENCE', "image of the pods that look; default the node agent's"],
  protocol: [
    '--protocol http|tcp|tls',
    'what a waypoint on the way hears; default what the port declares, else http',
  ],
  method: ['--method METHOD', 'of the request that a waypoint on the way reads; default GET'],
  path: ['--path PATH', 'of that request; default /'],
  authority: ['--authority HOST', 'host of that request, or server name of TLS; default the destination'],
  header: ['--header NAME=VALUE', 'a header field of it; may be given several times'],
  jwt: [
    '--jwt TOKEN',
    'a token that it brings, which the waypoint verifies; or claims as JSON, taken as believed',
  ],
  name: ['--name NAME', 'name of the waypoint; default waypoint'],
  for: ['--for service|workload|all|none', 'what it takes traffic for; default service'],
  revision: ['--revision NAME', 'of the control plane that runs it, or whose waypoints are meant'],
  'enroll-namespace': ['--enroll-namespace', 'send the traffic of the whole namespace through it'],
  overwrite: ['--overwrite', 'also where the namespace uses another waypoint'],
  'waypoint-timeout': [
    '--waypoint-timeout DURATION',
    'how long to wait for it, such as 30s (no unit: seconds); default 90s',
  ],
  all: ['--all', 'every waypoint of the namespace'],
  'all-namespaces': ['-A, --all-namespaces', 'of every namespace'],
} as const;

/** Commands whose output may also be YAML: what would be applied. */
const YAML_COMMANDS: ReadonlySet<string> = new Set(['install', 'upgrade']);

/** Commands that print objects, and so do not know tables. */
const OBJECT_COMMANDS: ReadonlySet<string> = new Set(['waypoint generate']);

const INSTALL_TIMEOUT_HELP = [
  '--timeout DURATION',
  'how long to wait, such as 30s (no unit: seconds); default 5m',
] as const;
const INSTALL_HELP = {
  timeout: INSTALL_TIMEOUT_HELP,
  output: ['-o, --output table|json|yaml', 'how to print; default table'],
} as const;
const WAYPOINT_HELP = {
  namespace: ['-n, --namespace NAME', "the waypoint's namespace; default the kubeconfig's"],
} as const;

const INSTALL_OPTIONS = [
  'set',
  'values',
  'reset-values',
  'component',
  'yes',
  'dry-run',
  'wait',
  'timeout',
  'force-conflicts',
  'output',
] as const;

export const COMMANDS: Readonly<Record<string, CommandShape>> = {
  why: {
    operands: 'SOURCE DESTINATION[:PORT]',
    min: 2,
    max: 2,
    summary: 'what would become of a connection, or of a request, and what decides it',
    options: ['namespace', 'protocol', 'method', 'path', 'authority', 'header', 'jwt', 'output'],
    ownHelp: { namespace: ['-n, --namespace NAME', 'the namespace of names that are given without one'] },
  },
  status: { operands: '', min: 0, max: 0, summary: 'whether the mesh is well', options: ['output'] },
  analyze: {
    operands: '',
    min: 0,
    max: 0,
    summary: 'which policies, routes, services and labels do not do what they say, and why',
    options: ['namespace', 'output'],
  },
  preflight: {
    operands: '',
    min: 0,
    max: 0,
    summary: 'whether the cluster and each node can carry the mesh; what to do where not',
    options: ['probe', 'image', 'timeout', 'output'],
  },
  install: {
    operands: '',
    min: 0,
    max: 0,
    summary: 'install the mesh, after showing what that means',
    options: [...INSTALL_OPTIONS],
    ownHelp: INSTALL_HELP,
    timeoutMs: INSTALL_WAIT_MS,
  },
  upgrade: {
    operands: '',
    min: 0,
    max: 0,
    summary: "take the mesh to this command's version, one component after another",
    options: [...INSTALL_OPTIONS, 'allow-downgrade'],
    ownHelp: INSTALL_HELP,
    timeoutMs: INSTALL_WAIT_MS,
  },
  uninstall: {
    operands: '',
    min: 0,
    max: 0,
    summary: 'remove the mesh; pods in it are released first',
    options: ['release', 'keep-labels', 'crds', 'purge', 'yes', 'dry-run', 'timeout', 'output'],
    ownHelp: { timeout: INSTALL_TIMEOUT_HELP },
    timeoutMs: INSTALL_WAIT_MS,
  },
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
  'waypoint apply': {
    operands: '',
    min: 0,
    max: 0,
    summary: 'put a waypoint into a namespace, and wait until it is ready',
    options: [
      'namespace',
      'name',
      'for',
      'revision',
      'enroll-namespace',
      'overwrite',
      'wait',
      'waypoint-timeout',
      'output',
    ],
    ownHelp: WAYPOINT_HELP,
  },
  'waypoint generate': {
    operands: '',
    min: 0,
    max: 0,
    summary: 'print the Gateway that apply would write',
    options: ['namespace', 'name', 'for', 'revision', 'output'],
    ownHelp: { ...WAYPOINT_HELP, output: ['-o, --output yaml|json', 'how to print; default yaml'] },
  },
  'waypoint list': {
    operands: '',
    min: 0,
    max: 0,
    summary: 'the waypoints of a namespace',
    options: ['namespace', 'all-namespaces', 'output'],
    ownHelp: WAYPOINT_HELP,
  },
  'waypoint status': {
    operands: '[NAME]',
    min: 0,
    max: 1,
    summary: 'whether waypoints are ready; waits until they are',
    options: ['namespace', 'all-namespaces', 'wait', 'waypoint-timeout', 'output'],
    ownHelp: WAYPOINT_HELP,
  },
  'waypoint endpoints': {
    operands: '',
    min: 0,
    max: 0,
    summary: 'where a waypoint sends requests, and how each endpoint is doing',
    options: ['namespace', 'name', 'output'],
    ownHelp: WAYPOINT_HELP,
  },
  'waypoint routes': {
    operands: '',
    min: 0,
    max: 0,
    summary: 'the routes that a waypoint holds',
    options: ['namespace', 'name', 'output'],
    ownHelp: WAYPOINT_HELP,
  },
  'waypoint policies': {
    operands: '',
    min: 0,
    max: 0,
    summary: 'the policies that a waypoint holds, and what each is for',
    options: ['namespace', 'name', 'output'],
    ownHelp: WAYPOINT_HELP,
  },
  'waypoint delete': {
    operands: '[NAME…]',
    min: 0,
    max: 100,
    summary: 'delete waypoints, by name or all of them',
    options: ['namespace', 'all', 'revision'],
    ownHelp: WAYPOINT_HELP,
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
  completion: {
    operands: 'bash | zsh',
    min: 1,
    max: 1,
    summary: 'a script by which that shell completes commands and options',
    options: [],
  },
  help: { operands: '[COMMAND]', min: 0, max: 2, summary: 'this text, or that of one command', options: [] },
};

/** The options of a command's own, as its help shows them. */
export function optionsHelp({ options, ownHelp }: CommandShape): OptionHelp[] {
  return options.map((name) => ownHelp?.[name] ?? OPTION_HELP[name]);
}

/** What other meshes' commands call what is here under another name. */
const WORDS_OF_OTHERS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    check: 'status, and before an installation preflight',
    precheck: 'preflight',
    'proxy-status': 'status',
    ps: 'status',
    'proxy-config':
      'workloads, services, policies, certificates, connections, and for waypoints waypoint routes',
    pc: 'workloads, services, policies, certificates, connections, and for waypoints waypoint routes',
    'ztunnel-config': 'workloads, services, policies, certificates and connections',
    zc: 'workloads, services, policies, certificates and connections',
    describe: 'why, and analyze',
    diagnostics: 'status, and analyze',
    tap: 'connections',
    inject: 'enroll',
    label: 'enroll',
  }),
);

/** First words of commands that have two. */
export const GROUPS: readonly string[] = [
  ...new Set(Object.keys(COMMANDS).flatMap((name) => (name.includes(' ') ? [name.split(' ')[0] ?? ''] : []))),
];

const PARSED = {
  namespace: { type: 'string', short: 'n' },
  node: { type: 'string' },
  output: { type: 'string', short: 'o' },
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  'mesh-namespace': { type: 'string' },
  wait: { type: 'boolean' },
  timeout: { type: 'string' },
  yes: { type: 'boolean', short: 'y' },
  'dry-run': { type: 'boolean' },
  set: { type: 'string', multiple: true },
  values: { type: 'string', short: 'f', multiple: true },
  'reset-values': { type: 'boolean' },
  component: { type: 'string', multiple: true },
  'force-conflicts': { type: 'boolean' },
  'allow-downgrade': { type: 'boolean' },
  release: { type: 'boolean' },
  'keep-labels': { type: 'boolean' },
  crds: { type: 'boolean' },
  purge: { type: 'boolean' },
  probe: { type: 'boolean' },
  image: { type: 'string' },
  protocol: { type: 'string' },
  method: { type: 'string' },
  path: { type: 'string' },
  authority: { type: 'string' },
  header: { type: 'string', multiple: true },
  jwt: { type: 'string' },
  name: { type: 'string' },
  for: { type: 'string' },
  revision: { type: 'string' },
  'enroll-namespace': { type: 'boolean' },
  overwrite: { type: 'boolean' },
  'waypoint-timeout': { type: 'string' },
  all: { type: 'boolean' },
  'all-namespaces': { type: 'boolean', short: 'A' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig;

const PARSING = { options: PARSED, allowPositionals: true, allowNegative: true } as const;

/** Options that are shown as what changes something. */
const NEGATED: ReadonlySet<OptionName> = new Set(['wait', 'probe']);

/** Options that every command takes. */
const COMMON = ['kubeconfig', 'context', 'mesh-namespace'];
const DEFAULT_MESH_NAMESPACE = 'istio-system';
const DEFAULT_WAYPOINT = 'waypoint';

/** @throws {@link UsageError} */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const { values, positionals } = parse(args);
  const words = positionals.length === 0 && values.version ? ['version'] : positionals;
  const { command, operands } = commandOf(words, values.help ?? false);
  const shape = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  if (!shape) {
    const here = WORDS_OF_OTHERS.get(command.split(' ')[0] ?? '');
    const hint =
      here === undefined
        ? didYouMean(command, [...Object.keys(COMMANDS), ...GROUPS])
        : `: here that is ${here};`;
    throw new UsageError(`unknown command "${command}"${hint || ';'} "ambit help" lists them`);
  }
  const options = optionsOf(values, command, shape.timeoutMs ?? ENROL_WAIT_MS);
  if (values.help)
    return { command: 'help', operands: command === 'help' ? operands : command.split(' '), options };
  const see = `"ambit help ${command}" says more`;
  const taken = new Set<string>([...COMMON, ...shape.options, ...(command === 'version' ? ['version'] : [])]);
  const stray = Object.keys(values).find((name) => !taken.has(name));
  if (stray !== undefined) throw new UsageError(`${command} takes no option --${stray}; ${see}`);
  if (operands.length < shape.min) throw new UsageError(`${command} needs ${shape.operands}; ${see}`);
  const extra = operands[shape.max];
  const hint = shape.options.includes('namespace') ? '; -n NAME names a namespace' : '';
  if (extra !== undefined) throw new UsageError(`${command}: unexpected "${extra}"${hint}; ${see}`);
  return { command, operands, options };
}

function commandOf(
  [first = 'help', second, ...rest]: readonly string[],
  wantsHelp: boolean,
): Pick<CommandLine, 'command' | 'operands'> {
  const others = second === undefined ? rest : [second, ...rest];
  if (!GROUPS.includes(first)) return { command: first, operands: others };
  if (second !== undefined) return { command: `${first} ${second}`, operands: rest };
  if (wantsHelp) return { command: 'help', operands: [first] };
  const words = Object.keys(COMMANDS).flatMap((name) =>
    name.startsWith(`${first} `) ? [name.slice(first.length + 1)] : [],
  );
  throw new UsageError(`${first} needs one of ${words.join(', ')}; "ambit help ${first}" says more`);
}

type Values = ReturnType<typeof parse>['values'];

function parse(args: readonly string[]) {
  try {
    return parseArgs({ ...PARSING, args: [...args], strict: true });
  } catch (error) {
    throw new UsageError(`${parseProblem(messageOf(error), args)}; "ambit help" lists commands and options`);
  }
}

/** The names of the options that the command takes; of no command, those of every one. */
function optionsTaken(args: readonly string[]): readonly string[] {
  const [first = '', second = ''] = parseArgs({ ...PARSING, args: [...args], strict: false }).positionals;
  const command = GROUPS.includes(first) ? `${first} ${second}` : first;
  const { options = [] } = Object.hasOwn(COMMANDS, command) ? (COMMANDS[command] ?? {}) : {};
  const own = options.map((name) => (NEGATED.has(name) ? `no-${name}` : name));
  return [...own, ...COMMON, 'help', ...(first === '' ? ['version'] : [])];
}

/** Node's text without its advice, which is about operands that begin with a dash; none of ours does. */
function parseProblem(message: string, args: readonly string[]): string {
  const [unknown, name] = /Unknown option '([^']*)'/.exec(message) ?? [];
  if (unknown !== undefined && name !== undefined) {
    // The dashes are no letters: with them, three of five would be alike.
    const meant = closest(name.replace(/^-+/, ''), optionsTaken(args));
    return `there is no option ${name}${meant === undefined ? '' : `; did you mean --${meant}`}`;
  }
  const [, option, problem] = /Option '([^']*)' (does not take an argument|argument)/.exec(message) ?? [];
  const shown = option?.replace(/ <value>$/, '');
  if (shown === undefined) return message.split(/\. |\n/)[0] ?? message;
  return problem === 'argument' ? `option ${shown} needs a value` : `option ${shown} takes no value`;
}

function optionsOf(values: Values, command: string, defaultTimeoutMs: number): Options {
  const isOfWaypoints = command.startsWith('waypoint ');
  const timeoutName = isOfWaypoints ? 'waypoint-timeout' : 'timeout';
  const timeout = values[timeoutName];
  const timeoutMs =
    timeout === undefined ? (isOfWaypoints ? WAYPOINT_WAIT_MS : defaultTimeoutMs) : parseDurationMs(timeout);
  if (timeoutMs === undefined)
    throw new UsageError(
      `--${timeoutName} wants a duration such as 30s (no unit: seconds), not "${timeout}"`,
    );
  if (values['keep-labels'] && !values.release)
    throw new UsageError('--keep-labels goes with --release, which takes the labels off');
  return {
    output: outputOf(values.output ?? (OBJECT_COMMANDS.has(command) ? 'yaml' : 'table'), command),
    namespace: values.namespace,
    node: values.node,
    kubeconfig: values.kubeconfig,
    context: values.context,
    meshNamespace: values['mesh-namespace'] ?? DEFAULT_MESH_NAMESPACE,
    wait: values.wait ?? true,
    timeoutMs,
    yes: values.yes ?? false,
    dryRun: values['dry-run'] ?? false,
    set: values.set ?? [],
    valuesFiles: values.values ?? [],
    resetValues: values['reset-values'] ?? false,
    components: values.component ?? [],
    forceConflicts: values['force-conflicts'] ?? false,
    allowDowngrade: values['allow-downgrade'] ?? false,
    release: values.release ?? false,
    keepLabels: values['keep-labels'] ?? false,
    crds: values.crds ?? false,
    purge: values.purge ?? false,
    probe: values.probe ?? true,
    image: values.image,
    allNamespaces: values['all-namespaces'] ?? false,
    waypoint: {
      name: values.name ?? DEFAULT_WAYPOINT,
      trafficType: trafficTypeOf(values.for),
      revision: values.revision,
      enrolNamespace: values['enroll-namespace'] ?? false,
      overwrite: values.overwrite ?? false,
      all: values.all ?? false,
    },
    request: requestOf(values),
  };
}

function requestOf({ protocol, method, path, authority, header, jwt }: Values): RequestOptions {
  const found = PROTOCOLS.find((one) => one === protocol);
  if (protocol !== undefined && found === undefined)
    throw new UsageError(`--protocol is ${PROTOCOLS.join(', ')}, not "${protocol}"`);
  return {
    protocol: found,
    method: method ?? 'GET',
    path: path ?? '/',
    authority,
    headers: header ?? [],
    token: jwt,
    isGiven: [protocol, method, path, authority, header, jwt].some((value) => value !== undefined),
  };
}

function trafficTypeOf(text: string | undefined): TrafficType | undefined {
  const found = TRAFFIC_TYPES.find((one) => one === text);
  if (text !== undefined && found === undefined)
    throw new UsageError(`--for is ${TRAFFIC_TYPES.join(', ')}, not "${text}"`);
  return found;
}

function outputOf(output: string, command: string): Output {
  if (OBJECT_COMMANDS.has(command)) {
    if (output === 'yaml' || output === 'json') return output;
    throw new UsageError(`--output is yaml or json here, not "${output}"`);
  }
  if (output === 'table' || output === 'json') return output;
  if (!YAML_COMMANDS.has(command)) throw new UsageError(`--output is table or json, not "${output}"`);
  if (output === 'yaml') return output;
  throw new UsageError(`--output is table, json or yaml, not "${output}"`);
}

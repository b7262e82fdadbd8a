/** From words to an exit code: parses, connects, runs one command, and turns whatever fails into one sentence. */
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { KubeClient } from '@ambit/kube/client';
import { isNotFound, KubeTransportError, NoKubeConfigError, statusOf } from '@ambit/kube/errors';
import { portForward } from '@ambit/kube/port-forward';
import { type CommandLine, parseCommandLine } from './command-line.ts';
import { choiceOf } from './install/installation.ts';
import { type Shipped, shipped } from './install/shipped.ts';
import { analyze } from './commands/analyze.ts';
import { certificates } from './commands/certificates.ts';
import { completion } from './commands/completion.ts';
import { connections } from './commands/connections.ts';
import { enroll, parseSubject, unenroll } from './commands/enroll.ts';
import { helpText } from './commands/help.ts';
import { install, upgrade } from './commands/install.ts';
import { policies } from './commands/policies.ts';
import { preflight } from './commands/preflight.ts';
import { services } from './commands/services.ts';
import { status } from './commands/status.ts';
import { uninstall } from './commands/uninstall.ts';
import { version } from './commands/version.ts';
import { applyWaypoint } from './commands/waypoint/apply.ts';
import { deleteWaypoints } from './commands/waypoint/delete.ts';
import { waypointEndpoints } from './commands/waypoint/endpoints.ts';
import { generateWaypoint } from './commands/waypoint/generate.ts';
import { listWaypoints } from './commands/waypoint/list.ts';
import { waypointPolicies } from './commands/waypoint/policies.ts';
import { waypointRoutes } from './commands/waypoint/routes.ts';
import { waypointStatus } from './commands/waypoint/status.ts';
import { why } from './commands/why.ts';
import { workloads } from './commands/workloads.ts';
import type { Context } from './context.ts';
import { NotInTimeError, UsageError } from './errors.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { MAX_SENTENCE_CHARS } from './limits.ts';
import { parseDestination, parseSource } from './names.ts';
import { printable } from './table.ts';
import { waypointGateway } from './waypoint/gateway.ts';
import { requestQuery } from './why/request.ts';
import type { PodDialer } from './proxy-page.ts';
import { Ztunnels } from './ztunnels.ts';

/** What the command needs of the process that it runs in. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly print: (text: string) => void;
  readonly printError: (text: string) => void;
  /** Asks whoever sits there; `undefined`: nobody does. Default: nobody. */
  readonly ask?: (question: string) => Promise<boolean | undefined>;
  /** Default: a port-forward through the API server. */
  readonly dial?: PodDialer;
  /** Default: what comes with this command. */
  readonly shipped?: () => Promise<Shipped>;
}

type Command = (context: Context, operands: readonly string[]) => Promise<ExitCode>;

const CLUSTER_COMMANDS: Readonly<Record<string, Command>> = {
  why,
  status,
  analyze,
  preflight,
  install,
  upgrade,
  uninstall,
  enroll,
  unenroll,
  workloads,
  services,
  policies,
  certificates,
  connections,
  'waypoint apply': applyWaypoint,
  'waypoint list': listWaypoints,
  'waypoint status': waypointStatus,
  'waypoint endpoints': waypointEndpoints,
  'waypoint routes': waypointRoutes,
  'waypoint policies': waypointPolicies,
  'waypoint delete': deleteWaypoints,
};

/** Of what a command takes, that it can be understood. */
const CHECKS: Readonly<
  Record<string, (operands: readonly string[], options: CommandLine['options']) => void>
> = {
  why: ([source = '', destination = ''], { request }) => {
    parseSource(source);
    parseDestination(destination);
    requestQuery(request, 'http');
  },
  enroll: ([subject = '']) => void parseSubject(subject),
  unenroll: ([subject = '']) => void parseSubject(subject),
  'waypoint apply': (_, { waypoint, namespace }) => void waypointGateway(waypoint, namespace),
};

export async function run(args: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
  const fail = (code: ExitCode, sentence: string) => {
    surroundings.printError(`ambit: ${sentence}\n`);
    return code;
  };
  try {
    return await perform(parseCommandLine(args), surroundings);
  } catch (error) {
    if (error instanceof UsageError) return fail(EXIT.usage, messageOf(error));
    if (surroundings.signal.aborted) return fail(EXIT.error, 'interrupted');
    const code = error instanceof NotInTimeError ? EXIT.timeout : EXIT.error;
    return fail(code, printable(sentenceOf(error), MAX_SENTENCE_CHARS));
  }
}

async function perform(line: CommandLine, surroundings: Surroundings): Promise<ExitCode> {
  const { command, operands, options } = line;
  const { print } = surroundings;
  if (command === 'version') return version(options, print);
  if (command === 'completion') return completion(operands, print);
  if (command === 'waypoint generate') return generateWaypoint(options, print);
  const perform = CLUSTER_COMMANDS[command];
  if (!perform) {
    print(helpText(operands.length === 0 ? undefined : operands.join(' ')));
    return EXIT.ok;
  }
  const { env, clock, signal, printError } = surroundings;
  const { kubeconfig, context, meshNamespace } = options;
  // What is wrong whatever the cluster is comes before what is wrong with the way to it.
  const choice = command === 'install' || command === 'upgrade' ? await choiceOf(options) : undefined;
  CHECKS[command]?.(operands, options);
  using client = await KubeClient.load({ env, kubeconfigPath: kubeconfig, context, clock });
  const dial = surroundings.dial ?? ((to, until) => portForward(client, to, until));
  const ztunnels = new Ztunnels({ client, dial, meshNamespace, clock, signal });
  const warn = (sentence: string) => printError(`ambit: ${printable(sentence, MAX_SENTENCE_CHARS)}\n`);
  const ask = surroundings.ask ?? (() => Promise.resolve(undefined));
  const given = surroundings.shipped ?? shipped;
  return await perform(
    { client, ztunnels, dial, options, choice, clock, signal, print, warn, ask, shipped: given },
    operands,
  );
}

const KUBECONFIG_ADVICE =
  "set KUBECONFIG to your cluster's file (for the demo: the export line that npm run demo -- --keep printed)";

/** The API server's refusals name a request; a user wants to know what they lack. */
function sentenceOf(error: unknown): string {
  const message = messageOf(error);
  if (error instanceof NoKubeConfigError) return `${message}; ${KUBECONFIG_ADVICE}`;
  if (error instanceof KubeTransportError)
    return `the cluster cannot be reached: ${message}; does it run, and is this its kubeconfig and context?`;
  if (statusOf(error) === 401) return `the cluster does not accept these credentials: ${message}`;
  if (statusOf(error) === 403) return `you may not do this in the cluster: ${message}`;
  if (isNotFound(error)) return `not found: ${message}`;
  return message;
}

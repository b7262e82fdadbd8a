/** What the command says about itself. */
import { COMMANDS, GROUPS, optionsHelp } from '../command-line.ts';
import { UsageError } from '../errors.ts';

export const EXIT_CODES = `Exit codes: 0 done, or the connection is allowed; 1 error; 2 wrong command line; 3 the connection is
refused; 4 not known, as a proxy could not be asked, or the mesh, the cluster or an object is not well; 5 not ready in
time.`;

export const COMMON = [
  ['--kubeconfig FILE', 'how to reach the cluster; default $KUBECONFIG, then ~/.kube/config'],
  ['--context NAME', "the kubeconfig's context to use"],
  ['--mesh-namespace NAME', 'where the mesh runs; default istio-system'],
  ['-h, --help', 'help of a command'],
] as const;

export const DETAILS: Readonly<Record<string, string>> = {
  why: `SOURCE is a pod (NAME or NAMESPACE/NAME; the beginning of a name, such as its Deployment's, is enough) or an IP.
DESTINATION is a service, a pod, a host name or an IP; a name without a namespace is looked up in the source's
namespace, as its DNS does, then in the kubeconfig's ("default" unless it names one). Host names are those of Services
and ServiceEntries; of any other host give the IP address. Both halves are decided by the proxies themselves, on what
they hold now: the source's ztunnel says where the connection goes, the destination's whether policies let it in. A
waypoint on the way says what becomes of the request: --method, --path, --header and --jwt say which one.`,
  analyze: `Asks the control plane about every object that it knows: what their statuses say, what kubectl apply would warn of
if they were written now, labels that mean nothing. ✗ does not do what it says, and gives exit code 4, as does a kind
that you may not list; · may not be what was meant.`,
  enroll: `Puts the label istio.io/dataplane-mode=ambient on it and waits until its running pods are captured. Of a
pod whose namespace is enrolled it takes the label istio.io/dataplane-mode=none away instead, so that the namespace's
counts again.`,
  unenroll: `Removes the label; a pod of an enrolled namespace gets istio.io/dataplane-mode=none instead. Waits until no
new connection of the pods that were captured goes through the mesh; those that are open may end by themselves for up
to 70 s, then they are cut.`,
  preflight: `Asks the API, and looks at each node from a pod that runs there for some seconds, in a namespace that is removed
afterwards. Each finding comes with what to do about it; errors, which keep the mesh from working, give exit code 4,
and so does a look that reached no node, unless --no-probe asked for that.`,
  install: `Checks versions, permissions and who else is there; tries every object on the API server without writing; shows the
plan and asks; applies it by server-side apply, and waits until everything runs. What was applied stays when it is
interrupted: run it again to go on. Values are those of the Helm chart, and are kept for the next time. --dry-run -o
yaml prints what would be applied, as kubectl takes it. With --component, the rest is left alone.`,
  upgrade: `The control plane first, then the node agent, then ztunnel; each is waited for, and what comes after one that does
not become ready is not touched. Otherwise as install. To go back: the older version's command, with
--allow-downgrade.`,
  uninstall: `Is refused while pods are in the mesh, since they would be cut off; --release takes them out first, without
restarting them. Then goes admission, the agent (which takes its plugin off each node), ztunnel, the control plane,
the rest. The resource kinds, the authority's key and the namespace stay unless --crds and --purge are given; the
namespace also while anything is in it that the mesh did not bring.`,
  'waypoint apply': `Writes a Gateway of class istio-waypoint by server-side apply; istiod runs the waypoint that it stands for. With
--enroll-namespace the label istio.io/use-waypoint on the namespace sends its traffic there; otherwise label
Services, or Pods for --for workload. Run again, it changes what is there.`,
  'waypoint list': `A waypoint that does not say what it takes traffic for takes that of services.`,
  'waypoint status': `Prints the condition Programmed of each, once all of them are or the time is over (exit code 5).`,
  'waypoint endpoints': `Asks every pod of the waypoint: each ejects and counts by itself. A destination is there once a request went to it.`,
  'waypoint delete': `The Gateway is deleted, and everything that istiod made for it. Whoever is still labelled to use it is named. With
--revision: those of that revision.`,
  completion: `For this shell: source <(ambit completion bash).`,
  connections: `Of ztunnels that are not Ambit's, identities are not shown.`,
};

/** @throws {@link UsageError} if there is no such command. */
export function helpText(command: string | undefined): string {
  if (command === undefined) return overview();
  if (GROUPS.includes(command)) return groupHelp(command);
  const shape = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  if (!shape) throw new UsageError(`unknown command "${command}"; "ambit help" lists them`);
  const usage = ['ambit', command, shape.operands, '[options]'].filter(Boolean).join(' ');
  const details = DETAILS[command];
  const options = [...optionsHelp(shape), ...COMMON];
  return [
    `${command}: ${shape.summary}`,
    `Usage: ${usage}`,
    ...(details === undefined ? [] : [details]),
    `Options:\n${columns(options)}`,
    EXIT_CODES,
  ]
    .map((part) => `${part}\n`)
    .join('\n');
}

function groupHelp(group: string): string {
  const commands = Object.entries(COMMANDS).filter(([name]) => name.startsWith(`${group} `));
  return [
    `Usage: ambit ${group} COMMAND [options]`,
    `Commands:\n${columns(commands.map(([name, { operands, summary }]) => [`${name} ${operands}`.trim(), summary]))}`,
    `"ambit help ${group} COMMAND" says more of one.`,
  ]
    .map((part) => `${part}\n`)
    .join('\n');
}

function overview(): string {
  const commands = Object.entries(COMMANDS).map(
    ([name, { operands, summary }]) => [`${name} ${operands}`.trim(), summary] as const,
  );
  return [
    'ambit installs the mesh, takes workloads into it, and asks it questions.',
    'Usage: ambit COMMAND [options]',
    `Commands:\n${columns(commands)}`,
    `Options of every command:\n${columns(COMMON)}`,
    EXIT_CODES,
  ]
    .map((part) => `${part}\n`)
    .join('\n');
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}

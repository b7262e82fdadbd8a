/** The command line of `npm run e2e`. What it does not know is jest's. Pure. */
import { PROVIDER_NAMES, type ProviderName } from '../cluster/providers.ts';

export interface RunOptions {
  readonly provider: ProviderName;
  /** Leave the cluster when the suites are done. */
  readonly keep: boolean;
  readonly nodes: number;
  readonly ipFamily: 'ipv4' | 'dual';
  /** The cluster's name; absent: one of this run alone. */
  readonly name: string | undefined;
  /** The image that a node is made of, by name or digest; absent: the one that the kind command comes with. For `kind`. */
  readonly nodeImage: string | undefined;
  /** Images that a registry has already, so that none are made. For `existing`. */
  readonly images: { readonly hub: string; readonly tag: string } | undefined;
  /** A command that brings an image archive, its argument, to every node. For `existing`. */
  readonly loadCommand: string | undefined;
  readonly jestArguments: readonly string[];
}

export const USAGE = `usage: npm run e2e -- [options] [jest's arguments]
  --provider local|kind|existing   default local: a cluster on this machine, as root; kind: by Docker; existing: KUBECONFIG
  --keep                           leave the cluster as it is; the last lines say how to use and remove it
  --nodes N                        default 2
  --ip-family ipv4|dual            default ipv4
  --name NAME                      of the cluster
  --node-image IMAGE               kind: of nodes, for another version of Kubernetes; default: what kind comes with
  --images HUB:TAG                 existing: use HUB/istiod:TAG and the rest from a registry
  --load-command COMMAND           existing: a shell command that brings the archive "$1" to every node
`;

/** @returns text that says what is wrong with the command line. */
export function parseOptions(args: readonly string[]): RunOptions | string {
  const given = new Map<string, string>();
  const jestArguments: string[] = [];
  let keep = false;
  for (let index = 0; index < args.length; index++) {
    const [flag, inline] = splitFlag(args[index] ?? '');
    if (flag === '--keep') keep = true;
    else if (!WITH_VALUE.has(flag)) jestArguments.push(args[index] ?? '');
    else {
      const value = inline ?? args[++index];
      if (value === undefined) return `${flag} needs a value`;
      given.set(flag, value);
    }
  }
  return check(given, keep, jestArguments);
}

const WITH_VALUE = new Set([
  '--provider',
  '--nodes',
  '--ip-family',
  '--name',
  '--node-image',
  '--images',
  '--load-command',
]);

function splitFlag(arg: string): readonly [string, string?] {
  const at = arg.indexOf('=');
  return arg.startsWith('--') && at > 0 ? [arg.slice(0, at), arg.slice(at + 1)] : [arg];
}

function check(
  given: ReadonlyMap<string, string>,
  keep: boolean,
  jestArguments: readonly string[],
): RunOptions | string {
  const wanted = given.get('--provider') ?? 'local';
  const provider = PROVIDER_NAMES.find((name) => name === wanted);
  if (!provider) return `--provider ${wanted}: want ${PROVIDER_NAMES.join(', ')}`;
  const nodes = Number(given.get('--nodes') ?? 2);
  if (!Number.isInteger(nodes) || nodes < 1) return `--nodes ${given.get('--nodes')}: want a number`;
  const ipFamily = given.get('--ip-family') ?? 'ipv4';
  if (ipFamily !== 'ipv4' && ipFamily !== 'dual') return `--ip-family ${ipFamily}: want ipv4 or dual`;
  const images = imagesFrom(given.get('--images'));
  if (typeof images === 'string') return images;
  const loadCommand = given.get('--load-command');
  if (provider !== 'existing' && (images || loadCommand !== undefined))
    return '--images and --load-command are for --provider existing';
  const nodeImage = given.get('--node-image');
  if (provider !== 'kind' && nodeImage !== undefined) return '--node-image is for --provider kind';
  if (provider === 'existing' && !images && loadCommand === undefined)
    return '--provider existing needs --images HUB:TAG or --load-command COMMAND: how else would images get there?';
  const name = given.get('--name');
  return { provider, keep, nodes, ipFamily, name, nodeImage, images, loadCommand, jestArguments };
}

function imagesFrom(text: string | undefined): RunOptions['images'] | string {
  if (text === undefined) return undefined;
  const at = text.lastIndexOf(':');
  if (at <= 0 || at === text.length - 1 || text.indexOf('/', at) > 0) return `--images ${text}: want HUB:TAG`;
  return { hub: text.slice(0, at), tag: text.slice(at + 1) };
}

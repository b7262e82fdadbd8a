/** The list of network plugins of a node, which its container runtime takes: read, and written as whoever runs the cluster's network would. */
import type { Cluster as Machine } from '../../cluster/provider.ts';

const FOLDER = '/etc/cni/net.d';
/** Ours, at the end of a list. */
export const PLUGIN = 'istio-cni';

export interface NetworkList {
  /** Of nobody: what is not known is let be. */
  readonly note?: string;
  readonly plugins: readonly { readonly type: string }[];
}

export interface FirstList {
  readonly path: string;
  readonly text: string;
  readonly list: NetworkList;
}

export class NodeLists {
  readonly #machine: Machine;
  readonly #node: string;

  constructor(machine: Machine, node: string) {
    this.#machine = machine;
    this.#node = node;
  }

  /** Names of all files in the folder. */
  async names(): Promise<readonly string[]> {
    return (await this.#run(`ls ${FOLDER}`)).trim().split('\n');
  }

  /** The runtime takes the first file of the folder. */
  async first(): Promise<FirstList> {
    const path = (await this.#run(`ls ${FOLDER}/*.conflist | head -n 1`)).trim();
    const text = await this.#run(`cat ${path}`);
    return { path, text, list: JSON.parse(text) as NetworkList };
  }

  /** The whole file at once, so that no runtime reads half of it. */
  async write(path: string, text: string): Promise<void> {
    const encoded = Buffer.from(text).toString('base64');
    await this.#run(`printf '%s' ${encoded} | base64 -d > ${path}.new && mv ${path}.new ${path}`);
  }

  async #run(command: string): Promise<string> {
    const { exitCode, stdout, stderr } = await this.#machine.nodeExec(this.#node, ['sh', '-c', command]);
    if (exitCode !== 0 || stderr !== '') throw new Error(`${this.#node}: ${command}: ${exitCode} ${stderr}`);
    return stdout;
  }
}

export const typesOf = ({ plugins }: NetworkList) => plugins.map(({ type }) => type);

/** The list without ours. */
export function withoutOurs(list: NetworkList): NetworkList {
  return { ...list, plugins: list.plugins.filter(({ type }) => type !== PLUGIN) };
}

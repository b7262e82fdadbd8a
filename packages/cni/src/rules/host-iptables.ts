/**
 * The node's probe rules where nft is missing: two ipsets and one chain for each family.
 *
 * The sets are the same as Istio's, so what its agent left is taken over. Whose an address is we know ourselves; the
 * comment in the set is for people.
 */
import type { Clock } from '@ambit/core/clock';
import type { Family } from '@ambit/core/ip';
import type { RunCommand } from './command.ts';
import { IPTABLES_POSTROUTING } from './constants.ts';
import { removeNftResidue } from './nft-residue.ts';
import type { IptablesProgram } from './iptables-backend.ts';
import {
  type HostRules,
  isPodUid,
  type ProbedPod,
  renderHostIptables,
  renderHostIptablesRemoval,
  renderIpsetAddition,
  renderIpsetDestruction,
  renderIpsetRemoval,
  renderIpsets,
} from './render-host.ts';
import { retried } from './retry.ts';

export interface IptablesHostProbesOptions {
  readonly run: RunCommand;
  readonly clock: Clock;
  readonly hostNetnsFd: number;
  readonly rules: HostRules;
  readonly program: IptablesProgram;
}

/** Implements the agent's `HostProbes`. */
export class IptablesHostProbes {
  readonly #options: IptablesHostProbesOptions;
  readonly #families: readonly Family[];
  readonly #owners = new Map<string, string>();

  constructor(options: IptablesHostProbesOptions) {
    this.#options = options;
    this.#families = options.rules.ipv6 ? [4, 6] : [4];
  }

  /** The sets first: a rule cannot name one that is not there. */
  async start(pods: readonly ProbedPod[]): Promise<void> {
    const wanted = this.#usable(pods);
    await this.#ipset(renderIpsets(this.#options.rules, wanted));
    for (const family of this.#families)
      await this.#restore(family, (jumps) => renderHostIptables(this.#options.rules, family, jumps));
    for (const { ip, uid } of wanted) this.#owners.set(ip, uid);
    await removeNftResidue(this.#options.run, this.#options.hostNetnsFd);
  }

  async add(pods: readonly ProbedPod[]): Promise<void> {
    const wanted = this.#usable(pods);
    if (wanted.length === 0) return;
    await this.#ipset(renderIpsetAddition(wanted));
    for (const { ip, uid } of wanted) this.#owners.set(ip, uid);
  }

  async remove(uid: string, ips: readonly string[]): Promise<void> {
    const own = ips.filter((ip) => this.#owners.get(ip) === uid);
    if (own.length === 0) return;
    await this.#ipset(renderIpsetRemoval(own));
    for (const ip of own) this.#owners.delete(ip);
  }

  async stop(): Promise<void> {
    for (const family of this.#families)
      await this.#restore(family, (jumps) => renderHostIptablesRemoval(jumps));
    await this.#ipset(renderIpsetDestruction(this.#options.rules.ipv6));
    this.#owners.clear();
  }

  #usable(pods: readonly ProbedPod[]): readonly ProbedPod[] {
    return pods.filter(({ ip, uid }) => isPodUid(uid) && (this.#options.rules.ipv6 || !ip.includes(':')));
  }

  async #ipset(script: string): Promise<void> {
    const { run, hostNetnsFd } = this.#options;
    await run({ file: 'ipset', args: ['restore'], stdin: script, netnsFd: hostNetnsFd });
  }

  async #restore(family: Family, render: (jumps: number) => string): Promise<void> {
    const { run, clock, hostNetnsFd, program } = this.#options;
    const name = family === 4 ? program : program.replace('iptables', 'ip6tables');
    await retried(clock, async () => {
      const saved = await run({ file: `${name}-save`, args: ['-t', 'nat'], netnsFd: hostNetnsFd });
      const jumps = saved.stdout.split(`-A POSTROUTING -j ${IPTABLES_POSTROUTING}\n`).length - 1;
      const args = ['--noflush', '-w', '5'];
      await run({ file: `${name}-restore`, args, stdin: render(jumps), netnsFd: hostNetnsFd });
    });
  }
}

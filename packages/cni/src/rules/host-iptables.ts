/**
 * The node's probe rules where nft is missing: two ipsets and one chain for each family.
 *
 * The sets are the same as Istio's, so what its agent left is taken over. Whose an address is we know ourselves; the
 * comment in the set is for people.
 */
import type { Clock } from '@ambit/core/clock';
import type { Family } from '@ambit/core/ip';
import type { Logger } from '@ambit/core/log';
import type { RunCommand } from './command.ts';
import { removeHostResidue, removeIpsets } from './host-residue.ts';
import { type IptablesProgram, programFor } from './iptables-program.ts';
import {
  type HostRules,
  isPodUid,
  jumpsInSaved,
  type ProbedPod,
  renderHostIptables,
  renderHostIptablesRemoval,
  renderIpsetAddition,
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
  readonly log: Pick<Logger, 'warn'>;
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
    await removeHostResidue(this.#options);
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
    await removeIpsets(this.#options);
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
    const name = programFor(program, family);
    await retried(clock, async () => {
      const saved = await run({ file: `${name}-save`, args: ['-t', 'nat'], netnsFd: hostNetnsFd });
      const stdin = render(jumpsInSaved(saved.stdout) ?? 0);
      await run({ file: `${name}-restore`, args: ['--noflush', '-w', '5'], stdin, netnsFd: hostNetnsFd });
    });
  }
}

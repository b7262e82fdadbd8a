/** A pod's rules by `iptables-restore`, where the node has no working nft: one transaction per table. */
import type { Clock } from '@ambit/core/clock';
import type { Family } from '@ambit/core/ip';
import type { PodRulesBackend } from './backend.ts';
import type { RunCommand } from './command.ts';
import { forgetConnections, type Unforgotten } from './forget-connections.ts';
import { removeLegacyResidue } from './legacy-residue.ts';
import { removeNftAndIptablesNftResidue, removeNftResidue } from './nft-residue.ts';
import { familiesOf, type PodRules } from './pod-rules.ts';
import {
  parseSaved,
  renderPodIptables,
  renderPodIptablesRemoval,
  renderPodIptablesWithoutRedirects,
  type SavedTables,
} from './render-iptables.ts';
import { retried } from './retry.ts';
import { applyRoutes, removeRoutes, usableFamilies } from './routes.ts';

/** `iptables`, or one of its variants: `iptables-nft`, `iptables-legacy`. */
export type IptablesProgram = `iptables${'' | '-nft' | '-legacy'}`;

export class IptablesBackend implements PodRulesBackend {
  readonly name = 'iptables';
  readonly #run: RunCommand;
  readonly #clock: Clock;
  readonly #program: IptablesProgram;
  readonly #families: readonly Family[];
  /** What is read decides what is written, so nobody else of us may write in between. */
  #last: Promise<unknown> = Promise.resolve();
  #isLegacy: Promise<boolean> | undefined;

  /** @param ipv6 - Whether this node's pods use IPv6 at all: without, `ip6tables` need not exist. */
  constructor(run: RunCommand, clock: Clock, program: IptablesProgram, ipv6: boolean) {
    this.#run = run;
    this.#clock = clock;
    this.#program = program;
    this.#families = ipv6 ? [4, 6] : [4];
  }

  async apply(netnsFd: number, rules: PodRules): Promise<void> {
    await applyRoutes(this.#run, netnsFd, usableFamilies(netnsFd, familiesOf(rules)));
    for (const family of familiesOf(rules))
      await this.#restore(netnsFd, family, (saved) => renderPodIptables(rules, family, saved));
    await this.#removeOthers(netnsFd);
  }

  async removeRedirects(netnsFd: number): Promise<void> {
    for (const family of this.#families)
      await this.#restore(netnsFd, family, renderPodIptablesWithoutRedirects);
  }

  async remove(netnsFd: number): Promise<Unforgotten | undefined> {
    for (const family of this.#families) await this.#restore(netnsFd, family, renderPodIptablesRemoval);
    const unforgotten = forgetConnections(netnsFd);
    await removeRoutes(this.#run, netnsFd, usableFamilies(netnsFd, this.#families));
    return unforgotten;
  }

  /** What another program applied, an earlier agent's choice: last, so that there is no moment without rules. */
  async #removeOthers(netnsFd: number): Promise<void> {
    if (await this.#usesLegacyTables()) {
      await removeNftAndIptablesNftResidue(this.#run, netnsFd);
      return;
    }
    await removeNftResidue(this.#run, netnsFd);
    await removeLegacyResidue(this.#run, netnsFd);
  }

  /** Only the program knows which of the two it is: plain `iptables` is a link to either. */
  #usesLegacyTables(): Promise<boolean> {
    this.#isLegacy ??= this.#run({ file: this.#program, args: ['--version'] }).then(
      ({ stdout }) => !stdout.includes('nf_tables'),
      (error: unknown) => {
        this.#isLegacy = undefined;
        throw error;
      },
    );
    return this.#isLegacy;
  }

  #restore(netnsFd: number, family: Family, render: (saved: SavedTables) => string): Promise<void> {
    const restored = this.#last.then(() => this.#restoreNow(netnsFd, family, render));
    this.#last = restored.catch(() => undefined);
    return restored;
  }

  async #restoreNow(netnsFd: number, family: Family, render: (saved: SavedTables) => string): Promise<void> {
    const program = family === 4 ? this.#program : this.#program.replace('iptables', 'ip6tables');
    await retried(this.#clock, async () => {
      const saved = await this.#run({ file: `${program}-save`, args: [], netnsFd });
      const script = render(parseSaved(saved.stdout));
      if (script === '') return;
      await this.#run({ file: `${program}-restore`, args: ['--noflush', '-w', '5'], stdin: script, netnsFd });
    });
  }
}

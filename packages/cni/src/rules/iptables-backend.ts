/** A pod's rules by `iptables-restore`, where the node has no working nft: one transaction per table. */
import type { Clock } from '@ambit/core/clock';
import type { Family } from '@ambit/core/ip';
import { listTables } from '@ambit/linux/nf-tables';
import type { PodRulesBackend } from './backend.ts';
import type { RunCommand } from './command.ts';
import { IPTABLES_PREROUTING } from './constants.ts';
import { forgetConnections, forgetQueries, type Unforgotten } from './forget-connections.ts';
import { type IptablesProgram, programFor, usesLegacyTables } from './iptables-program.ts';
import { hasLegacyTables, removeLegacyResidue } from './legacy-residue.ts';
import { removeNftAndIptablesNftResidue, removeNftResidue } from './nft-residue.ts';
import { familiesOf, type PodRules } from './pod-rules.ts';
import {
  capturesDns,
  parseSaved,
  renderPodIptables,
  renderPodIptablesRemoval,
  renderPodIptablesWithoutRedirects,
  type SavedTables,
} from './render-iptables.ts';
import { retried } from './retry.ts';
import { applyRoutes, removeRoutes } from './routes.ts';

export class IptablesBackend implements PodRulesBackend {
  readonly name = 'iptables';
  readonly #run: RunCommand;
  readonly #clock: Clock;
  readonly #program: IptablesProgram;
  readonly #families: readonly Family[];
  /** What is read decides what is written, so nobody else of us may write in between. */
  #last: Promise<unknown> = Promise.resolve();
  #isLegacy: boolean | undefined;

  /** @param ipv6 - Whether this node's pods use IPv6 at all: without, `ip6tables` need not exist. */
  constructor(run: RunCommand, clock: Clock, program: IptablesProgram, ipv6: boolean) {
    this.#run = run;
    this.#clock = clock;
    this.#program = program;
    this.#families = ipv6 ? [4, 6] : [4];
  }

  /** What is written depends on what is read in the pod. */
  async prepare(): Promise<void> {}

  async apply(netnsFd: number, rules: PodRules): Promise<void> {
    applyRoutes(netnsFd, familiesOf(rules));
    for (const family of familiesOf(rules))
      await this.#restore(netnsFd, family, (saved) => renderPodIptables(rules, family, saved));
    await this.#removeOthers(netnsFd);
  }

  /** No program is started where it has no tables, as in pods that never were in the mesh. By a chain that sidecars have not. */
  async stand(netnsFd: number): Promise<boolean> {
    const tables = listTables(netnsFd);
    for (const family of this.#families) {
      const word = family === 4 ? 'ip' : 'ip6';
      if (!hasLegacyTables(netnsFd, family) && !tables.some((table) => table.family === word)) continue;
      const saved = await this.#run({ file: `${programFor(this.#program, family)}-save`, args: [], netnsFd });
      if ([...parseSaved(saved.stdout).values()].some(({ chains }) => chains.has(IPTABLES_PREROUTING)))
        return true;
    }
    return false;
  }

  async removeRedirects(netnsFd: number): Promise<void> {
    for (const family of this.#families)
      await this.#restore(netnsFd, family, renderPodIptablesWithoutRedirects);
  }

  async remove(netnsFd: number): Promise<Unforgotten | undefined> {
    let queries: { readonly unforgotten: Unforgotten | undefined } | undefined;
    for (const family of this.#families)
      await this.#restore(netnsFd, family, (saved) => {
        // Once: of all families.
        if (capturesDns(saved)) queries ??= { unforgotten: forgetQueries(netnsFd) };
        return renderPodIptablesRemoval(saved);
      });
    const others = forgetConnections(netnsFd);
    removeRoutes(netnsFd, this.#families);
    return queries?.unforgotten ?? others;
  }

  /** What another program applied, an earlier agent's choice: last, so that there is no moment without rules. */
  async #removeOthers(netnsFd: number): Promise<void> {
    this.#isLegacy ??= await usesLegacyTables(this.#run, this.#program);
    if (this.#isLegacy) {
      await removeNftAndIptablesNftResidue(this.#run, this.#clock, netnsFd);
      return;
    }
    await removeNftResidue(this.#run, this.#clock, netnsFd);
    await removeLegacyResidue(this.#run, netnsFd);
  }

  #restore(netnsFd: number, family: Family, render: (saved: SavedTables) => string): Promise<void> {
    const restored = this.#last.then(() => this.#restoreNow(netnsFd, family, render));
    this.#last = restored.catch(() => undefined);
    return restored;
  }

  async #restoreNow(netnsFd: number, family: Family, render: (saved: SavedTables) => string): Promise<void> {
    const program = programFor(this.#program, family);
    await retried(this.#clock, async () => {
      const saved = await this.#run({ file: `${program}-save`, args: [], netnsFd });
      const script = render(parseSaved(saved.stdout));
      if (script === '') return;
      await this.#run({ file: `${program}-restore`, args: ['--noflush', '-w', '5'], stdin: script, netnsFd });
    });
  }
}

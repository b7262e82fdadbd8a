/** A pod's rules by `nft`: one transaction, which either happens or does not. */
import type { Clock } from '@ambit/core/clock';
import type { PodRulesBackend } from './backend.ts';
import type { RunCommand } from './command.ts';
import { removeLegacyResidue } from './legacy-residue.ts';
import { familiesOf, type PodRules } from './pod-rules.ts';
import { renderPodNft, renderPodNftRemoval, renderPodNftWithoutRedirects } from './render-nft.ts';
import { findResidue, renderResidueRemoval } from './residue.ts';
import { retried } from './retry.ts';
import { applyRoutes, removeRoutes, usableFamilies } from './routes.ts';

export class NftBackend implements PodRulesBackend {
  readonly name = 'nftables';
  readonly #run: RunCommand;
  readonly #clock: Clock;

  constructor(run: RunCommand, clock: Clock) {
    this.#run = run;
    this.#clock = clock;
  }

  async apply(netnsFd: number, rules: PodRules): Promise<void> {
    await applyRoutes(this.#run, netnsFd, usableFamilies(netnsFd, familiesOf(rules)));
    await this.#replace(netnsFd, renderPodNft(rules));
  }

  async removeRedirects(netnsFd: number): Promise<void> {
    await this.#replace(netnsFd, renderPodNftWithoutRedirects());
  }

  async remove(netnsFd: number): Promise<void> {
    await this.#replace(netnsFd, renderPodNftRemoval());
    await removeRoutes(this.#run, netnsFd, usableFamilies(netnsFd, [4, 6]));
  }

  async #replace(netnsFd: number, script: string): Promise<void> {
    await retried(this.#clock, async () => {
      const listed = await this.#run({ file: 'nft', args: ['-j', 'list', 'ruleset'], netnsFd });
      const removal = renderResidueRemoval(findResidue(listed.stdout));
      await this.#run({ file: 'nft', args: ['-f', '-'], stdin: `${removal}${script}`, netnsFd });
    });
    await removeLegacyResidue(this.#run, netnsFd);
  }
}

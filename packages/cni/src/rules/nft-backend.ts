/** A pod's rules by `nft`: one transaction, which either happens or does not. */
import type { Clock } from '@ambit/core/clock';
import type { PodRulesBackend } from './backend.ts';
import type { RunCommand } from './command.ts';
import { forgetConnections, type Unforgotten } from './forget-connections.ts';
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
    const routes = applyRoutes(this.#run, netnsFd, usableFamilies(netnsFd, familiesOf(rules)));
    await this.#replace(netnsFd, renderPodNft(rules), routes);
  }

  async removeRedirects(netnsFd: number): Promise<void> {
    await this.#replace(netnsFd, renderPodNftWithoutRedirects());
  }

  async remove(netnsFd: number): Promise<Unforgotten | undefined> {
    await this.#replace(netnsFd, renderPodNftRemoval());
    const unforgotten = forgetConnections(netnsFd);
    await removeRoutes(this.#run, netnsFd, usableFamilies(netnsFd, [4, 6]));
    return unforgotten;
  }

  /** @param first - What must be done before; looking at what is there need not wait for it. */
  async #replace(netnsFd: number, script: string, first?: Promise<void>): Promise<void> {
    await retried(this.#clock, async () => {
      const [listed] = await Promise.all([
        this.#run({ file: 'nft', args: ['-j', 'list', 'ruleset'], netnsFd }),
        first,
      ]);
      const removal = renderResidueRemoval(findResidue(listed.stdout));
      await this.#run({ file: 'nft', args: ['-f', '-'], stdin: `${removal}${script}`, netnsFd });
    });
    await removeLegacyResidue(this.#run, netnsFd);
  }
}

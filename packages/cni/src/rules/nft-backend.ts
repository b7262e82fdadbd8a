/** A pod's rules by `nft`: one transaction, which either happens or does not. */
import type { Clock } from '@ambit/core/clock';
import { listTables, type NfTable } from '@ambit/linux/nf-tables';
import type { PodRulesBackend } from './backend.ts';
import type { RunCommand } from './command.ts';
import { NFT_TABLES } from './constants.ts';
import { forgetConnections, type Unforgotten } from './forget-connections.ts';
import { removeLegacyResidue } from './legacy-residue.ts';
import { familiesOf, type PodRules } from './pod-rules.ts';
import {
  renderFirstPodNft,
  renderPodNft,
  renderPodNftRemoval,
  renderPodNftWithoutRedirects,
} from './render-nft.ts';
import { findResidue, renderResidueRemoval, RESIDUE_FAMILIES } from './residue.ts';
import { retried } from './retry.ts';
import { applyRoutes, removeRoutes } from './routes.ts';

export class NftBackend implements PodRulesBackend {
  readonly name = 'nftables';
  readonly #run: RunCommand;
  readonly #clock: Clock;

  constructor(run: RunCommand, clock: Clock) {
    this.#run = run;
    this.#clock = clock;
  }

  async apply(netnsFd: number, rules: PodRules): Promise<void> {
    applyRoutes(netnsFd, familiesOf(rules));
    await this.#replace(netnsFd, (tables) =>
      tables.some(isOurs) ? renderPodNft(rules) : renderFirstPodNft(rules),
    );
  }

  async removeRedirects(netnsFd: number): Promise<void> {
    await this.#replace(netnsFd, renderPodNftWithoutRedirects);
  }

  async remove(netnsFd: number): Promise<Unforgotten | undefined> {
    await this.#replace(netnsFd, renderPodNftRemoval);
    const unforgotten = forgetConnections(netnsFd);
    removeRoutes(netnsFd, [4, 6]);
    return unforgotten;
  }

  /** @param render - From the tables that stand there. */
  async #replace(netnsFd: number, render: (tables: readonly NfTable[]) => string): Promise<void> {
    await retried(this.#clock, async () => {
      const tables = listTables(netnsFd);
      const removal = await this.#residueRemoval(netnsFd, tables);
      await this.#run({ file: 'nft', args: ['-f', '-'], stdin: `${removal}${render(tables)}`, netnsFd });
    });
    await removeLegacyResidue(this.#run, netnsFd);
  }

  /** Nothing is started to look for residue where there cannot be any. */
  async #residueRemoval(netnsFd: number, tables: readonly NfTable[]): Promise<string> {
    if (!tables.some(({ family }) => RESIDUE_FAMILIES.includes(family))) return '';
    const listed = await this.#run({ file: 'nft', args: ['-j', 'list', 'ruleset'], netnsFd });
    return renderResidueRemoval(findResidue(listed.stdout));
  }
}

const OURS: readonly string[] = NFT_TABLES;

function isOurs({ family, name }: NfTable): boolean {
  return family === 'inet' && OURS.includes(name);
}

/** A pod's rules by `nft`: one transaction, which either happens or does not. */
import type { Clock } from '@ambit/core/clock';
import { LinuxError } from '@ambit/linux/errors';
import { listTables, type NfTable } from '@ambit/linux/nf-tables';
import { createUnnamedNetns } from '@ambit/linux/netns';
import { makeTables, type NfTables, readInetTables } from '@ambit/linux/nf-transaction';
import type { Family } from '@ambit/core/ip';
import type { PodRulesBackend } from './backend.ts';
import type { RunCommand } from './command.ts';
import { NFT_RAW, NFT_TABLES } from './constants.ts';
import { RulesError } from './errors.ts';
import { forgetConnections, forgetQueries, type Unforgotten } from './forget-connections.ts';
import { hasLegacyNat, hasLegacyResidue, removeLegacyResidue } from './legacy-residue.ts';
import { familiesOf, type PodRules } from './pod-rules.ts';
import {
  renderFirstPodNft,
  renderPodNft,
  renderPodNftRemoval,
  renderPodNftWithoutRedirects,
  tableNamesOf,
} from './render-nft.ts';
import { findNatOutputs, findResidue, renderResidueRemoval, RESIDUE_FAMILIES } from './residue.ts';
import { retried } from './retry.ts';
import { applyRoutes, removeRoutes } from './routes.ts';

export class NftBackend implements PodRulesBackend {
  readonly name = 'nftables';
  readonly #run: RunCommand;
  readonly #clock: Clock;
  /** What pods of the node get first, but for annotations: as nft is told, and as the kernel then has it. */
  #usual: { readonly script: string; readonly tables: NfTables } | undefined;

  constructor(run: RunCommand, clock: Clock) {
    this.#run = run;
    this.#clock = clock;
  }

  async prepare(rules: PodRules): Promise<void> {
    const script = renderFirstPodNft(rules);
    const names = tableNamesOf(rules);
    await retried(this.#clock, async () => {
      using netns = createUnnamedNetns();
      await this.#run({ ...NFT, stdin: script, netnsFd: netns.fd });
      const tables = readInetTables(netns.fd, names);
      if (!tables)
        throw new RulesError(
          `what nft made cannot be copied: ${names.join(', ')} have sets, or are not all there`,
        );
      this.#usual = { script, tables };
    });
  }

  async apply(netnsFd: number, rules: PodRules): Promise<void> {
    applyRoutes(netnsFd, familiesOf(rules));
    if (this.#applyFirst(netnsFd, rules)) return;
    await this.#replace(netnsFd, (tables) =>
      tables.some(isOurs) ? renderPodNft(rules) : renderFirstPodNft(rules),
    );
  }

  stand(netnsFd: number): Promise<boolean> {
    return Promise.resolve(listTables(netnsFd).some(isOurs));
  }

  async removeRedirects(netnsFd: number): Promise<void> {
    await this.#replace(netnsFd, async (tables) =>
      capturesDns(tables)
        ? renderPodNftWithoutRedirects({ dns: 'captured', ownNat: await this.#ownNat(netnsFd, tables) })
        : renderPodNftWithoutRedirects({ dns: 'not captured' }),
    );
  }

  async remove(netnsFd: number): Promise<Unforgotten | undefined> {
    const unforgotten = capturesDns(listTables(netnsFd)) ? forgetQueries(netnsFd) : undefined;
    await this.#replace(netnsFd, renderPodNftRemoval);
    const others = forgetConnections(netnsFd);
    removeRoutes(netnsFd, [4, 6]);
    return unforgotten ?? others;
  }

  /**
   * Without a program, where the pod has no rules yet and is to have the usual ones.
   *
   * @returns false where nft has to do it, or to say why it cannot be done.
   */
  #applyFirst(netnsFd: number, rules: PodRules): boolean {
    if (this.#usual?.script !== renderFirstPodNft(rules) || hasLegacyResidue(netnsFd)) return false;
    try {
      if (listTables(netnsFd).some((table) => isOurs(table) || mayBeResidue(table))) return false;
      makeTables(netnsFd, this.#usual.tables);
      return true;
    } catch (error) {
      if (error instanceof LinuxError) return false;
      throw error;
    }
  }

  /** @param render - From the tables that stand there. */
  async #replace(
    netnsFd: number,
    render: (tables: readonly NfTable[]) => string | Promise<string>,
  ): Promise<void> {
    await retried(this.#clock, async () => {
      const tables = listTables(netnsFd);
      const removal = await this.#residueRemoval(netnsFd, tables);
      await this.#run({ ...NFT, stdin: `${removal}${await render(tables)}`, netnsFd });
    });
    await removeLegacyResidue(this.#run, netnsFd);
  }

  /** Families of which somebody else translates what the pod sends. Nothing is started where nobody else has tables. */
  async #ownNat(netnsFd: number, tables: readonly NfTable[]): Promise<readonly Family[]> {
    const listed = tables.every(isOurs)
      ? []
      : findNatOutputs((await this.#run({ file: 'nft', args: ['-j', 'list', 'chains'], netnsFd })).stdout);
    const others = listed.filter((table) => !isOurs(table)).map(({ family }) => family);
    const all: readonly Family[] = [4, 6];
    return all.filter(
      (family) =>
        hasLegacyNat(netnsFd, family) ||
        others.includes('inet') ||
        others.includes(family === 4 ? 'ip' : 'ip6'),
    );
  }

  /** Nothing is started to look for residue where there cannot be any. */
  async #residueRemoval(netnsFd: number, tables: readonly NfTable[]): Promise<string> {
    if (!tables.some(mayBeResidue)) return '';
    const listed = await this.#run({ file: 'nft', args: ['-j', 'list', 'ruleset'], netnsFd });
    return renderResidueRemoval(findResidue(listed.stdout));
  }
}

const NFT = { file: 'nft', args: ['-f', '-'] };
const OURS: readonly string[] = NFT_TABLES;

function mayBeResidue({ family }: NfTable): boolean {
  return RESIDUE_FAMILIES.includes(family);
}

/** The table of zones comes with the capture of DNS. */
function capturesDns(tables: readonly NfTable[]): boolean {
  return tables.some((table) => isOurs(table) && table.name === NFT_RAW);
}

function isOurs({ family, name }: NfTable): boolean {
  return family === 'inet' && OURS.includes(name);
}

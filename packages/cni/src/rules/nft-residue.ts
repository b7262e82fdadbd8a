/**
 * What redirects in a namespace's nftables while iptables applies its rules from now on: both would redirect, and only one
 * of them would be taken away when the pod leaves.
 */
import type { RunCommand } from './command.ts';
import { CommandError } from './errors.ts';
import { renderPodNftRemoval } from './render-nft.ts';
import { findResidue, renderResidueRemoval } from './residue.ts';

/** Our own tables. Where nft is missing or does nothing, it has left nothing either. */
export async function removeNftResidue(run: RunCommand, netnsFd: number): Promise<void> {
  await unlessNftFails(async () => {
    await run({ file: 'nft', args: ['-f', '-'], stdin: renderPodNftRemoval(), netnsFd });
  });
}

/** Our own tables, and the chains of an iptables that keeps its rules in nftables: for one that does not. */
export async function removeNftAndIptablesNftResidue(run: RunCommand, netnsFd: number): Promise<void> {
  await unlessNftFails(async () => {
    const listed = await run({ file: 'nft', args: ['-j', 'list', 'ruleset'], netnsFd });
    const removal = renderResidueRemoval(findResidue(listed.stdout));
    await run({ file: 'nft', args: ['-f', '-'], stdin: `${removal}${renderPodNftRemoval()}`, netnsFd });
  });
}

async function unlessNftFails(remove: () => Promise<void>): Promise<void> {
  try {
    await remove();
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
  }
}

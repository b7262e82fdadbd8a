/**
 * Our own tables of nftables, in a namespace whose rules iptables applies from now on: both would redirect, and only one
 * of them would be taken away when the pod leaves.
 */
import type { RunCommand } from './command.ts';
import { CommandError } from './errors.ts';
import { renderPodNftRemoval } from './render-nft.ts';

/** Where nft is missing or does nothing, it has left nothing either. */
export async function removeNftResidue(run: RunCommand, netnsFd: number): Promise<void> {
  try {
    await run({ file: 'nft', args: ['-f', '-'], stdin: renderPodNftRemoval(), netnsFd });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
  }
}

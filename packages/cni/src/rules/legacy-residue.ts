/**
 * Rules that Istio's agent, or an earlier one of ours, left with legacy iptables, which nftables does not show. The kernel
 * says which legacy tables a namespace has, so nothing is started where there are none.
 */
import { readFileSync } from 'node:fs';
import { runInNetns } from '@ambit/linux/netns';
import type { Family } from '@ambit/core/ip';
import type { RunCommand } from './command.ts';
import { parseSaved, renderPodIptablesRemoval } from './render-iptables.ts';

export async function removeLegacyResidue(run: RunCommand, netnsFd: number): Promise<void> {
  const families: readonly Family[] = [4, 6];
  for (const family of families) {
    if (!hasLegacyTables(netnsFd, family)) continue;
    const program = family === 4 ? 'iptables-legacy' : 'ip6tables-legacy';
    const saved = await run({ file: `${program}-save`, args: [], netnsFd });
    const removal = renderPodIptablesRemoval(parseSaved(saved.stdout));
    if (removal !== '')
      await run({ file: `${program}-restore`, args: ['--noflush', '-w', '5'], stdin: removal, netnsFd });
  }
}

/** Whether a program has to look for some. */
export function hasLegacyResidue(netnsFd: number): boolean {
  return hasLegacyTables(netnsFd, 4) || hasLegacyTables(netnsFd, 6);
}

/** Whether legacy iptables translates here, whoever's rules it has. */
export function hasLegacyNat(netnsFd: number, family: Family): boolean {
  return legacyTables(netnsFd, family).includes('nat');
}

export function hasLegacyTables(netnsFd: number, family: Family): boolean {
  return legacyTables(netnsFd, family).length > 0;
}

function legacyTables(netnsFd: number, family: Family): readonly string[] {
  const path = `/proc/thread-self/net/${family === 4 ? 'ip' : 'ip6'}_tables_names`;
  try {
    const names = runInNetns(netnsFd, () => readFileSync(path, 'utf8')).split('\n');
    return names.filter((name) => name !== '');
  } catch {
    return [];
  }
}

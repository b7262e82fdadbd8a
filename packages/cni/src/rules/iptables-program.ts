/** The programs that are called iptables: which one, and which tables of the kernel it writes. */
import type { Family } from '@ambit/core/ip';
import type { RunCommand } from './command.ts';

/** `iptables`, or one of its variants: `iptables-nft`, `iptables-legacy`. */
export type IptablesProgram = `iptables${'' | '-nft' | '-legacy'}`;

/** Only the program knows which of the two it is: plain `iptables` is a link to either. */
export async function usesLegacyTables(run: RunCommand, program: IptablesProgram): Promise<boolean> {
  const { stdout } = await run({ file: program, args: ['--version'] });
  return !stdout.includes('nf_tables');
}

export function programFor(program: IptablesProgram, family: Family): string {
  return family === 4 ? program : program.replace('iptables', 'ip6tables');
}

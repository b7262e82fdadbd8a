/**
 * What others have in a pod, read from what nft lists. First of all what Istio's agent left there that had enrolled it with iptables:
 * found in `nft -j list ruleset`, since today's iptables keeps its rules in nftables' tables `ip` and `ip6`.
 *
 * The lines that remove it go into our own transaction, so there is no moment with both or neither. Everything else in
 * those tables belongs to others and stays.
 */
import { RulesError } from './errors.ts';

/** Of the tables that today's iptables keeps its rules in. */
export const RESIDUE_FAMILIES: readonly string[] = ['ip', 'ip6'];

interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
}

interface Jump {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly handle: number;
}

export interface Residue {
  readonly chains: readonly Chain[];
  /** Rules elsewhere that lead into those chains. */
  readonly jumps: readonly Jump[];
}

const SAFE_NAME = /^[A-Za-z0-9_.-]{1,128}$/;

/** @throws {@link RulesError} if `json` is not what nft prints. */
export function findResidue(json: string): Residue {
  const chains: Chain[] = [];
  const jumps: Jump[] = [];
  for (const item of itemsOf(json)) {
    const chain = recordOf(item['chain']);
    const rule = recordOf(item['rule']);
    const place = chain ?? rule;
    const [family, table] = [textOf(place?.['family']), textOf(place?.['table'])];
    if (!RESIDUE_FAMILIES.includes(family) || !SAFE_NAME.test(table)) continue;
    const name = textOf(chain?.['name']);
    if (isIstioChain(name)) chains.push({ family, table, name });
    const within = textOf(rule?.['chain']);
    const handle = rule?.['handle'];
    if (!rule || isIstioChain(within) || !SAFE_NAME.test(within) || !Number.isInteger(handle)) continue;
    if (listOf(rule['expr']).some(leadsToIstio))
      jumps.push({ family, table, chain: within, handle: Number(handle) });
  }
  return { chains, jumps };
}

/**
 * Tables with a chain that translates what leaves the namespace's own programs, in `nft -j list chains`.
 *
 * @throws {@link RulesError} if `json` is not what nft prints.
 */
export function findNatOutputs(json: string): readonly { readonly family: string; readonly name: string }[] {
  return itemsOf(json).flatMap((item) => {
    const chain = recordOf(item['chain']);
    const isNatOutput = chain?.['type'] === 'nat' && chain['hook'] === 'output';
    return isNatOutput ? [{ family: textOf(chain['family']), name: textOf(chain['table']) }] : [];
  });
}

/** Lines for the front of a transaction; empty if nothing was left. */
export function renderResidueRemoval({ chains, jumps }: Residue): string {
  const at = ({ family, table, name }: Chain) => `${family} ${table} ${name}`;
  return [
    ...jumps.map(
      ({ family, table, chain, handle }) => `delete rule ${family} ${table} ${chain} handle ${handle}\n`,
    ),
    ...chains.map((chain) => `flush chain ${at(chain)}\n`),
    ...chains.map((chain) => `delete chain ${at(chain)}\n`),
  ].join('');
}

function isIstioChain(name: string): boolean {
  return /^ISTIO_[A-Z_]{1,64}$/.test(name);
}

function leadsToIstio(expression: unknown): boolean {
  const target = recordOf(recordOf(expression)?.['jump']) ?? recordOf(recordOf(expression)?.['goto']);
  return isIstioChain(textOf(target?.['target']));
}

function itemsOf(json: string): readonly Record<string, unknown>[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (error) {
    throw new RulesError('nft printed a ruleset that is not JSON (built without JSON support?)', {
      cause: error,
    });
  }
  const items = recordOf(parsed)?.['nftables'];
  if (!Array.isArray(items)) throw new RulesError('nft printed JSON without a list of objects');
  return items.map(recordOf).filter((item) => item !== undefined);
}

function recordOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

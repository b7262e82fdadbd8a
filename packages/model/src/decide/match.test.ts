import { describe, expect, test } from '@jest/globals';
import type { Policy, PolicyMatch, StringMatch } from '../policy.ts';
import { type Facts, factsOf, failingClause, failingField, matchingRule } from './match.ts';

/** The rules in other words, kept as plain as can be: what the matcher must agree with. */
function expected(policy: Policy, facts: Facts): boolean {
  const text = (match: StringMatch, value: string) => {
    if (value === '') return false;
    if (match.kind === 'presence') return true;
    const pattern = { exact: `^${match.text}$`, prefix: `^${match.text}`, suffix: `${match.text}$` }[
      match.kind
    ];
    return new RegExp(pattern).test(value);
  };
  const any = (list: readonly StringMatch[] | undefined, value: string) =>
    list?.some((match) => text(match, value));
  const port = (list: readonly number[] | undefined) =>
    list?.some((number) => number === facts.destinationPort);
  const holds = (match: PolicyMatch) =>
    Object.keys(match).length > 0 &&
    any(match.principals, facts.principal) !== false &&
    any(match.notPrincipals, facts.principal) !== true &&
    any(match.namespaces, facts.namespace) !== false &&
    any(match.notNamespaces, facts.namespace) !== true &&
    port(match.destinationPorts) !== false &&
    port(match.notDestinationPorts) !== true;
  return policy.rules.some((rule) => rule.every((clause) => clause.length === 0 || clause.some(holds)));
}

/** Small and seeded: the same policies every run (mulberry32). */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below) | 0;
  };
}

function randomPolicy(below: (count: number) => number): Policy {
  const some = <T>(max: number, make: () => T): T[] => Array.from({ length: below(max + 1) }, make);
  const words = ['a', 'b', 'td/ns/a/sa/x', 'td/ns/b/sa/y', 'td/', '/x'];
  const string = (): StringMatch => {
    const kind = (['exact', 'prefix', 'suffix', 'presence'] as const)[below(4)] ?? 'presence';
    return kind === 'presence' ? { kind } : { kind, text: words[below(words.length)] ?? '' };
  };
  const fields = {
    principals: () => [string(), ...some(1, string)],
    notPrincipals: () => [string()],
    namespaces: () => [string(), ...some(1, string)],
    notNamespaces: () => [string()],
    destinationPorts: () => [80 + below(2)],
    notDestinationPorts: () => [80 + below(2)],
  };
  const match = (): PolicyMatch =>
    Object.fromEntries(
      Object.entries(fields).flatMap(([name, make]) => (below(4) === 0 ? [[name, make()]] : [])),
    );
  const rules = some(2, () => some(2, () => some(2, match)));
  return { key: 'n/p', name: 'p', namespace: 'n', scope: 'Global', action: 'Allow', rules, dryRun: false };
}

const IDENTITIES = [undefined, 'spiffe://td/ns/a/sa/x', 'spiffe://td/ns/b/sa/y', 'not-an-identity'];

describe('the matcher', () => {
  test('agrees with the rules said plainly, over 20 000 random policies', () => {
    const below = randomFrom(20_260_701);
    let matched = 0;
    for (let i = 0; i < 20_000; i++) {
      const policy = randomPolicy(below);
      const destination = { ip: '10.0.0.1', port: 80 + below(3) };
      const facts = factsOf(IDENTITIES[below(IDENTITIES.length)], '10.0.0.2', destination);
      const found = matchingRule(policy, facts);
      if (found >= 0 !== expected(policy, facts))
        throw new Error(`disagrees on ${JSON.stringify({ policy, facts })}`);
      matched += found >= 0 ? 1 : 0;
    }
    expect(matched).toBeGreaterThan(2_000);
    expect(matched).toBeLessThan(18_000);
  });

  test('every rule that fails names a clause in which every match fails', () => {
    const below = randomFrom(7);
    for (let i = 0; i < 2_000; i++) {
      const policy = randomPolicy(below);
      const facts = factsOf(IDENTITIES[below(IDENTITIES.length)], '10.0.0.2', { ip: '10.0.0.1', port: 80 });
      for (const rule of policy.rules) {
        const clause = rule[failingClause(rule, facts)];
        if (clause === undefined) continue;
        expect(clause.length).toBeGreaterThan(0);
        expect(clause.every((match) => failingField(match, facts) !== undefined)).toBe(true);
      }
    }
  });
});

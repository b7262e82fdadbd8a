/** Texts of a policy as the matchers of the wire. What is not of the form is left out; validation has spoken of it. */
import type { Address, ServiceAccountMatch, StringMatch } from '@ambit/api/authorization';
import { parseCidr } from '@ambit/core/ip';

type Strings = readonly string[] | undefined;

/** `*` is any text but none, `*x` a suffix, `x*` a prefix. */
export function stringMatches(values: Strings): readonly StringMatch[] {
  return (values ?? []).map(stringMatch);
}

function stringMatch(value: string): StringMatch {
  if (value === '*') return { matchType: { $case: 'presence', value: {} } };
  if (value.startsWith('*')) return { matchType: { $case: 'suffix', value: value.slice(1) } };
  if (value.endsWith('*')) return { matchType: { $case: 'prefix', value: value.slice(0, -1) } };
  return { matchType: { $case: 'exact', value } };
}

export function addressMatches(values: Strings): readonly Address[] {
  return (values ?? []).flatMap((value) => {
    const cidr = parseCidr(value);
    return cidr ? [{ address: cidr.bytes, length: cidr.length }] : [];
  });
}

export function portMatches(values: Strings): readonly number[] {
  return (values ?? []).flatMap((value) => parsePort(value) ?? []);
}

/** `namespace/name`, or a name in `namespace`. */
export function serviceAccountMatches(values: Strings, namespace: string): readonly ServiceAccountMatch[] {
  return (values ?? []).map((value) => {
    const slash = value.indexOf('/');
    return slash < 0
      ? { namespace, serviceAccount: value }
      : { namespace: value.slice(0, slash), serviceAccount: value.slice(slash + 1) };
  });
}

/** A port from 1 to 65535 in decimal digits; `undefined` for anything else. */
export function parsePort(text: string): number | undefined {
  const port = Number(text);
  return /^[0-9]{1,5}$/.test(text) && port >= 1 && port <= 65_535 ? port : undefined;
}

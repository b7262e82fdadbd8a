/** What names may be. Pure. */
import { isDnsSubdomain } from '@ambit/core/dns-subdomain';
import type { FieldProblem } from '../errors.ts';
import { type Resource, storageKeyOf } from '../kinds/resource.ts';

const LABEL = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/;
const LABEL_1035 = /^[a-z](?:[-a-z0-9]*[a-z0-9])?$/;

const SAY_LABEL =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SAY_1035 =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const SAY_SUBDOMAIN =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

export const isDnsLabel = (text: string): boolean => text.length <= 63 && LABEL.test(text);

/** Why `name` may not be the name of an object of `resource`; `undefined` if it may. */
export function nameProblem(resource: Resource, name: string): FieldProblem | undefined {
  const problem = (why: string): FieldProblem => ({
    reason: 'FieldValueInvalid',
    field: 'metadata.name',
    message: `Invalid value: ${JSON.stringify(name)}: ${why}`,
  });
  switch (storageKeyOf(resource)) {
    case 'namespaces':
      if (name.length > 63) return problem('must be no more than 63 characters');
      return LABEL.test(name) ? undefined : problem(SAY_LABEL);
    case 'services':
      if (name.length > 63) return problem('must be no more than 63 characters');
      return LABEL_1035.test(name) ? undefined : problem(SAY_1035);
    default:
      if (resource.group === 'rbac.authorization.k8s.io') return pathSegmentProblem(name, problem);
      if (name.length > 253) return problem('must be no more than 253 characters');
      return isDnsSubdomain(name) ? undefined : problem(SAY_SUBDOMAIN);
  }
}

function pathSegmentProblem(name: string, problem: (why: string) => FieldProblem): FieldProblem | undefined {
  if (name === '.' || name === '..') return problem(`may not be '${name}'`);
  if (name.length > 253) return problem('must be no more than 253 characters');
  const bad = ['/', '%'].find((char) => name.includes(char));
  return bad === undefined ? undefined : problem(`may not contain '${bad}'`);
}

/** The characters of generated suffixes: no vowels, nothing easily mistaken. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

/** `prefix` and five random characters, within 63. */
export function generatedName(prefix: string, random: () => number): string {
  let suffix = '';
  for (let i = 0; i < 5; i++) suffix += ALPHABET[Math.floor(random() * ALPHABET.length)] ?? 'x';
  return prefix.slice(0, 58) + suffix;
}

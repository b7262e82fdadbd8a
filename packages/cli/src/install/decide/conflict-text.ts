/** What the API server says of field managers and a conflict between them, short enough to be read. Pure. */
import type { CoOwner } from './co-owners.ts';

/** Fields that are named; a whole Deployment has dozens. */
const MAX_FIELDS = 3;

/** `by "kubectl-edit": .spec.replicas, .data.a and 4 more`; the text as it came, if it is not what API servers say. */
export function conflictText(message: string): string {
  const managers = new Set([...message.matchAll(/conflicts? with "([^"]+)"/g)].map(([, name = '']) => name));
  const fields = [...message.matchAll(/^- (\..+)$|conflict with "[^"]+"[^:\n]*: (\..+)$/gm)].map(
    ([, listed, only]) => (listed ?? only ?? '').trim(),
  );
  if (managers.size === 0 || fields.length === 0) return message;
  const names = [...managers].map((name) => `"${name}"`).join(', ');
  return `by ${names}: ${fieldsText(fields)}`;
}

/** `from "kubectl-edit": .spec.replicas; from "argocd": .data.a, .data.b, .data.c and 4 more`. */
export function coOwnersText(owners: readonly CoOwner[]): string {
  return owners.map(({ manager, fields }) => `from "${manager}": ${fieldsText(fields)}`).join('; ');
}

function fieldsText(fields: readonly string[]): string {
  const more = fields.length - MAX_FIELDS;
  return `${fields.slice(0, MAX_FIELDS).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

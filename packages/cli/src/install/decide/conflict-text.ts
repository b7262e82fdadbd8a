/** What the API server says of a conflict between field managers, short enough to be read. Pure. */

/** Fields that are named; a whole Deployment has dozens. */
const MAX_FIELDS = 3;

/** `by "kubectl-edit": .spec.replicas, .data.a and 4 more`; the text as it came, if it is not what API servers say. */
export function conflictText(message: string): string {
  const managers = new Set([...message.matchAll(/conflicts? with "([^"]+)"/g)].map(([, name = '']) => name));
  const fields = [...message.matchAll(/^- (\..+)$|conflict with "[^"]+"[^:\n]*: (\..+)$/gm)].map(
    ([, listed, only]) => (listed ?? only ?? '').trim(),
  );
  if (managers.size === 0 || fields.length === 0) return message;
  const more = fields.length - MAX_FIELDS;
  const shown = fields.slice(0, MAX_FIELDS).join(', ');
  const names = [...managers].map((name) => `"${name}"`).join(', ');
  return `by ${names}: ${shown}${more > 0 ? ` and ${more} more` : ''}`;
}

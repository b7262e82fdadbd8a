/** What is wrong with a DNS name, as Istio judges names; `undefined`: nothing. Pure. */

const MAX_HOSTNAME_CHARS = 255;
const LABEL = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/;
const WILDCARD_LABEL = /^(?:\*|(?:\*-?)?[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?)$/;
const MAX_LABEL_CHARS = 63;

/** A name that could be resolved: no wildcard. */
export function hostnameProblem(name: string): string | undefined {
  return lengthProblem(name) ?? labelsProblem(name, name.split('.'));
}

/** A name whose first label may be `*`, or begin with it. */
export function wildcardHostnameProblem(name: string): string | undefined {
  if (name === '*') return 'must not be * alone';
  const [first = '', ...rest] = name.split('.');
  if (first.length > MAX_LABEL_CHARS || !WILDCARD_LABEL.test(first))
    return lengthProblem(name) ?? `"${name}" is not a DNS name: "${first}"`;
  return lengthProblem(name) ?? (rest.length > 0 ? labelsProblem(name, rest) : undefined);
}

export function isDnsLabel(text: string): boolean {
  return LABEL.test(text);
}

function lengthProblem(name: string): string | undefined {
  if (name === '') return 'must not be empty';
  return name.length > MAX_HOSTNAME_CHARS ? `must have at most ${MAX_HOSTNAME_CHARS} characters` : undefined;
}

function labelsProblem(name: string, labels: readonly string[]): string | undefined {
  // A final dot says that the name is complete.
  const given = labels.length > 1 && labels.at(-1) === '' ? labels.slice(0, -1) : labels;
  const wrong = given.find((label) => !LABEL.test(label));
  if (wrong !== undefined) return `"${name}" is not a DNS name: "${wrong}"`;
  return /^[0-9]+$/.test(labels.at(-1) ?? '')
    ? `"${name}" is not a DNS name: its last label is a number`
    : undefined;
}

/** Which Secret a `credentialName` names; pure. */

const PREFIX = 'kubernetes://';
const MAX_NAME_CHARS = 253;

/** As Istio reads it: a name, of a Secret beside the proxy. `undefined`: it names something else, or nothing. */
export function secretName(credentialName: string): string | undefined {
  const name = credentialName.startsWith(PREFIX) ? credentialName.slice(PREFIX.length) : credentialName;
  return isSecretName(name) ? name : undefined;
}

export function isSecretName(name: string): boolean {
  return (
    name.length <= MAX_NAME_CHARS &&
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(name)
  );
}

/** Which Secret a `credentialName` names; pure. */
import { isDnsSubdomain } from '@ambit/core/dns-subdomain';

const PREFIX = 'kubernetes://';

/** As Istio reads it: a name, of a Secret beside the proxy. `undefined`: it names something else, or nothing. */
export function secretName(credentialName: string): string | undefined {
  const name = credentialName.startsWith(PREFIX) ? credentialName.slice(PREFIX.length) : credentialName;
  return isDnsSubdomain(name) ? name : undefined;
}

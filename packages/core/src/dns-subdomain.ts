/** The names that Kubernetes gives most objects: subdomains of DNS in lower case (RFC 1123). */

const MAX_CHARS = 253;
const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;

/** Whether `text` is one: whoever refers to an object by its name may have written anything. */
export function isDnsSubdomain(text: string): boolean {
  return text.length <= MAX_CHARS && SUBDOMAIN.test(text);
}

/** What may stand for host and port, and which of them mean the same (RFC 3986 §3.2). */

const AUTHORITY = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=%]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;

/** A host, perhaps with a port; without user information. */
export function isAuthority(text: string): boolean {
  return AUTHORITY.test(text);
}

/** Whether both name the same, a scheme's default port being as good as none. */
export function isSameAuthority(one: string, other: string, scheme: 'http' | 'https'): boolean {
  return one === other || withoutPort(one, scheme) === withoutPort(other, scheme);
}

function withoutPort(authority: string, scheme: 'http' | 'https'): string {
  const port = scheme === 'https' ? ':443' : ':80';
  const lower = authority.toLowerCase();
  return lower.endsWith(port) ? lower.slice(0, -port.length) : lower;
}

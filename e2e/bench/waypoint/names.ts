/** Who is who in the benchmark of HTTP: identities of the fake CA, the waypoint's services and their addresses. */

export const NAMESPACE = 'shop';
export const CLIENT_IDENTITY = `spiffe://cluster.local/ns/${NAMESPACE}/sa/client`;
export const ENDPOINT_IDENTITY = `spiffe://cluster.local/ns/${NAMESPACE}/sa/web-0`;
export const WAYPOINT_IDENTITY = `spiffe://cluster.local/ns/${NAMESPACE}/sa/waypoint`;
/** The same backend as a service of HTTP/1.1, and of HTTP/2. */
export const SERVICES = {
  '1.1': { name: 'web', vip: '10.9.0.1' },
  '2': { name: 'web-h2', vip: '10.9.0.2' },
} as const;
export const SERVICE_PORT = 80;

/** The shop as YAML, as a user would apply it: a web front end, an API, a database, a batch job, and a stranger. */

export const PROGRAMS = new URL('./programs/', import.meta.url).pathname;

export const SHOP = 'shop';
export const OUTSIDE = 'outside';
/** The front end, the API, the database and the batch job. */
export const SHOP_PODS = 4;
/** What only the shop's programs say: readable on the wire, or not. */
export const SHOP_WORDS: readonly string[] = [
  'GET /items',
  'plain-text-marmalade',
  'READY ambit-demo-db',
  'SELECT items',
];

interface PodOptions {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly port?: number;
}

/** A service account, a pod and, for one with a port, a service on port 80 (or the port itself for plain TCP). */
export function demoPod({ namespace, name, node, program, args, port }: PodOptions): string {
  const command = JSON.stringify([process.execPath, `${PROGRAMS}${program}.ts`, ...args]);
  const probe =
    port === undefined ? '' : `\n      readinessProbe: {tcpSocket: {port: ${port}}, periodSeconds: 1}`;
  const ports = port === undefined ? '' : `\n      ports: [{containerPort: ${port}}]`;
  return `
apiVersion: v1
kind: ServiceAccount
metadata: {name: ${name}, namespace: ${namespace}}
---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: ${namespace}, labels: {app: ${name}}}
spec:
  nodeName: ${node}
  serviceAccountName: ${name}
  terminationGracePeriodSeconds: 2
  containers:
    - name: ${name}
      image: node
      command: ${command}${ports}${probe}
`;
}

export function demoService(namespace: string, name: string, port: number, targetPort: number): string {
  return `
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  selector: {app: ${name}}
  ports: [{name: ${port === 80 ? 'http' : 'tcp'}, port: ${port}, targetPort: ${targetPort}}]
`;
}

/** Front end and database on the first node, API on the second, so that every hop crosses the link. */
export function shopManifests(nodes: readonly [string, string]): string {
  const [first, second] = nodes;
  return [
    `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${SHOP}}\n`,
    `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${OUTSIDE}}\n`,
    demoPod({ namespace: SHOP, name: 'db', node: first, program: 'db', args: ['5432'], port: 5432 }),
    demoService(SHOP, 'db', 5432, 5432),
    demoPod({
      namespace: SHOP,
      name: 'api',
      node: second,
      program: 'api',
      args: ['8080', 'db.shop', '5432'],
      port: 8080,
    }),
    demoService(SHOP, 'api', 80, 8080),
    demoPod({
      namespace: SHOP,
      name: 'web',
      node: first,
      program: 'web',
      args: ['8080', 'http://api.shop/items', '100'],
      port: 8080,
    }),
    demoService(SHOP, 'web', 80, 8080),
    // Asks the API when it is asked itself, so that anybody can see what becomes of a caller that is not web.
    demoPod({
      namespace: SHOP,
      name: 'batch',
      node: first,
      program: 'web',
      args: ['8080', 'http://api.shop/items', '0'],
      port: 8080,
    }),
    demoPod({ namespace: OUTSIDE, name: 'stranger', node: second, program: 'idle', args: [] }),
  ].join('---\n');
}

export const STRICT = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: ${SHOP}}
spec: {mtls: {mode: STRICT}}
`;

export const ONLY_WEB = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: api-only-web, namespace: ${SHOP}}
spec:
  selector: {matchLabels: {app: api}}
  action: ALLOW
  rules:
    - from: [{source: {principals: [cluster.local/ns/${SHOP}/sa/web]}}]
`;

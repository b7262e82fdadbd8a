/** What the demo puts in front of the shop's API, as YAML: routes, a policy, who vouches for tokens, where spans go. */
import { OUTSIDE, SHOP, demoPod, demoService } from './manifests.ts';

const meshSettings = (settings: string) => `
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: ${JSON.stringify(settings)}}
`;
const LOG = 'accessLogFile: /dev/stdout';

/** Waypoints write a line for each request. */
export const LOG_REQUESTS = meshSettings(LOG);

export const ZIPKIN = 'zipkin';
export const ZIPKIN_PORT = 9_411;

/** A collector of spans outside the mesh, and waypoints of the shop that report all requests to it. */
export function traced(node: string): string {
  const service = `${ZIPKIN}.${OUTSIDE}.svc.cluster.local`;
  return [
    demoPod({
      namespace: OUTSIDE,
      name: ZIPKIN,
      node,
      program: ZIPKIN,
      args: [String(ZIPKIN_PORT)],
      port: ZIPKIN_PORT,
    }),
    demoService(OUTSIDE, ZIPKIN, ZIPKIN_PORT, ZIPKIN_PORT),
    meshSettings(
      `${LOG}\nextensionProviders: [{name: ${ZIPKIN}, zipkin: {service: ${service}, port: ${ZIPKIN_PORT}}}]`,
    ),
    `
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: traced, namespace: ${SHOP}}
spec: {tracing: [{providers: [{name: ${ZIPKIN}}], randomSamplingPercentage: 100}]}
`,
  ].join('---\n');
}

/** The API's next version beside it, and a Service for each of the two. */
export function nextVersion(node: string): string {
  return [
    demoPod({
      namespace: SHOP,
      name: 'api-next',
      node,
      program: 'api',
      args: ['8080', 'db.shop', '5432', 'two'],
      port: 8080,
    }),
    demoService(SHOP, 'api-next', 80, 8080),
  ].join('---\n');
}

const route = (rules: string) => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api, namespace: ${SHOP}}
spec:
  parentRefs: [{group: "", kind: Service, name: api, port: 80}]
  rules:
${rules}
`;

const backend = (name: string, weight: number) => `{name: ${name}, port: 80, weight: ${weight}}`;
const TO_API = `[${backend('api', 1)}]`;

/** Half of `/version` to each of the two versions; who asks for the next one gets it. */
export const SPLIT =
  route(`    - matches: [{path: {type: Exact, value: /version}, headers: [{name: x-version, value: next}]}]
      backendRefs: [${backend('api-next', 1)}]
    - matches: [{path: {type: Exact, value: /version}}]
      backendRefs: [${backend('api', 1)}, ${backend('api-next', 1)}]
    - backendRefs: ${TO_API}`);

/** What fails with 503 is asked again, up to three times. */
export const RETRY = route(`    - backendRefs: ${TO_API}
      retry: {codes: [503], attempts: 3, backoff: 25ms}`);

/** The caller is known by its certificate, the method by the request. */
export const NO_DELETE = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-delete, namespace: ${SHOP}}
spec:
  targetRefs: [{group: "", kind: Service, name: api}]
  action: DENY
  rules:
    - from: [{source: {principals: [cluster.local/ns/${SHOP}/sa/batch]}}]
      to: [{operation: {methods: [DELETE]}}]
`;

/** @param jwks - Whose keys sign tokens, as JSON. */
export function onlyWithToken(issuer: string, jwks: string): string {
  return `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: ${SHOP}}
spec:
  targetRefs: [{group: "", kind: Service, name: api}]
  jwtRules: [{issuer: ${JSON.stringify(issuer)}, jwks: ${JSON.stringify(jwks)}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: only-with-token, namespace: ${SHOP}}
spec:
  targetRefs: [{group: "", kind: Service, name: api}]
  action: DENY
  rules:
    - from: [{source: {notRequestPrincipals: ["*"]}}]
      to: [{operation: {paths: [/headers]}}]
`;
}

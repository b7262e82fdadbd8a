/**
 * What a user may write for waypoints, every part of it said, in one small world: what fuzz tests change.
 *
 * Each is attached to Service `cart` of namespace `shop`, which is behind a waypoint; targets and hosts are for the test to add.
 */

/** The gateway, the service, and its one pod. */
export const WAYPOINT_WORLD = `
kind: Gateway
metadata: {namespace: shop, name: waypoint}
status: {addresses: [{type: Hostname, value: waypoint.shop.svc.cluster.local}]}
---
kind: Service
metadata: {namespace: shop, name: cart, labels: {istio.io/use-waypoint: waypoint}}
spec: {clusterIPs: [10.1.0.1], selector: {app: cart}, ports: [{name: http, port: 80}, {name: tcp, port: 9090}]}
---
kind: Pod
metadata: {namespace: shop, name: cart, labels: {app: cart, version: v1}}
spec: {nodeName: n1}
status: {phase: Running, podIPs: [{ip: 10.0.0.1}], conditions: [{type: Ready, status: "True"}]}
`;
const parentRefs = [{ group: '', kind: 'Service', name: 'cart', port: 80 }];
const backendRefs = [{ name: 'cart', port: 80, weight: 2, filters: [] }];
const HTTP = {
  parentRefs,
  hostnames: ['a.example.com'],
  rules: [
    {
      name: 'a',
      matches: [
        {
          path: { type: 'PathPrefix', value: '/a' },
          method: 'GET',
          headers: [{ type: 'Exact', name: 'a', value: 'b' }],
          queryParams: [{ name: 'a', value: 'b' }],
        },
      ],
      filters: [
        {
          type: 'RequestHeaderModifier',
          requestHeaderModifier: { set: [{ name: 'a', value: 'b' }], remove: ['c'] },
        },
        {
          type: 'URLRewrite',
          urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/b' } },
        },
        { type: 'RequestMirror', requestMirror: { backendRef: { name: 'cart', port: 80 }, percent: 5 } },
        { type: 'CORS', cors: { allowOrigins: ['https://*.a'], allowMethods: ['GET'], maxAge: 5 } },
        {
          type: 'ExternalAuth',
          externalAuth: {
            protocol: 'HTTP',
            backendRef: { name: 'cart', port: 80 },
            http: { path: '/check', allowedHeaders: ['a'], allowedResponseHeaders: ['b'] },
            forwardBody: { maxSize: 10 },
          },
        },
      ],
      backendRefs,
      timeouts: { request: '1s', backendRequest: '500ms' },
      retry: { codes: [503], attempts: 2, backoff: '1s' },
      sessionPersistence: {
        sessionName: 's',
        cookie: { name: 't', path: '/a', lifetimeType: 'Permanent' },
        absoluteTimeout: '1h',
        type: 'Cookie',
        cookieConfig: { lifetimeType: 'Session' },
      },
    },
  ],
};
export const ROUTES = {
  HTTPRoute: HTTP,
  GRPCRoute: {
    parentRefs,
    rules: [
      {
        matches: [{ method: { service: 'a', method: 'b' }, headers: [{ name: 'a', value: 'b' }] }],
        backendRefs,
      },
    ],
  },
  TCPRoute: { parentRefs, rules: [{ name: 'a', backendRefs: [{ name: 'cart', port: 80 }] }] },
  TLSRoute: { parentRefs, hostnames: ['a.b'], rules: [{ backendRefs: [{ name: 'cart', port: 80 }] }] },
} as const;

export const POLICIES = {
  AuthorizationPolicy: {
    action: 'DENY',
    rules: [
      {
        from: [
          {
            source: { principals: ['cluster.local/ns/a/sa/b'], ipBlocks: ['10.0.0.0/8'], namespaces: ['a'] },
          },
        ],
        to: [{ operation: { hosts: ['a'], ports: ['80'], methods: ['GET'], paths: ['/a/{*}'] } }],
        when: [{ key: 'request.headers[a]', values: ['b'] }],
      },
    ],
  },
  RequestAuthentication: {
    jwtRules: [
      {
        issuer: 'a',
        audiences: ['b'],
        jwksUri: 'https://a/keys',
        fromHeaders: [{ name: 'a', prefix: 'b' }],
        outputClaimToHeaders: [{ header: 'a', claim: 'b' }],
        timeout: '5s',
      },
    ],
  },
} as const;

const destination = { host: 'cart', subset: 'v1', port: { number: 80 } };
export const VIRTUAL_SERVICE = {
  http: [
    {
      name: 'a',
      match: [
        {
          uri: { prefix: '/a' },
          headers: { a: { exact: 'b' } },
          queryParams: { q: { regex: 'a*' } },
          sourceLabels: {},
          gateways: ['mesh'],
        },
      ],
      route: [
        { destination, weight: 50, headers: { request: { set: { host: 'a', b: 'c' } } } },
        { destination, weight: 50 },
      ],
      rewrite: { uri: '/b', authority: 'c' },
      timeout: '5s',
      retries: { attempts: 3, perTryTimeout: '2s', retryOn: '5xx,503', backoff: '100ms' },
      fault: {
        delay: { percentage: { value: 1.5 }, fixedDelay: '1s' },
        abort: { percentage: { value: 1 }, httpStatus: 500 },
      },
      mirrors: [{ destination, percentage: { value: 10 } }],
      corsPolicy: { allowOrigins: [{ exact: 'a' }], allowMethods: ['GET'], maxAge: '1h' },
    },
    { match: [{ uri: { exact: '/c' } }], redirect: { uri: '/d', redirectCode: 301, port: 80 } },
    { match: [{ uri: { exact: '/e' } }], directResponse: { status: 418, body: { bytes: 'AAECAw==' } } },
    { match: [{ uri: { prefix: '/f' } }], delegate: { name: 'part' } },
  ],
  tls: [{ match: [{ sniHosts: ['a.b'], port: 443 }], route: [{ destination, weight: 1 }] }],
  tcp: [{ match: [{ port: 9090 }], route: [{ destination }] }],
};
export const DESTINATION_RULE = {
  trafficPolicy: {
    loadBalancer: {
      consistentHash: { httpCookie: { name: 'c', ttl: '1s' }, maglev: { tableSize: 101 } },
      warmup: { duration: '1s' },
    },
    connectionPool: {
      tcp: { maxConnections: 1, connectTimeout: '1s' },
      http: { maxRetries: 1, idleTimeout: '1s' },
    },
    outlierDetection: { consecutive5xxErrors: 1, interval: '1s', maxEjectionPercent: 5 },
    tls: { mode: 'SIMPLE', sni: 'a', subjectAltNames: ['b'] },
    portLevelSettings: [{ port: { number: 80 }, loadBalancer: { simple: 'RANDOM' } }],
    proxyProtocol: { version: 'V1' },
    retryBudget: { percent: 1.5 },
  },
  subsets: [
    { name: 'v1', labels: { version: 'v1' }, trafficPolicy: { loadBalancer: { simple: 'ROUND_ROBIN' } } },
  ],
  exportTo: ['*'],
};
export const TELEMETRY = {
  tracing: [
    {
      providers: [{ name: 'a' }],
      randomSamplingPercentage: 1.5,
      customTags: { a: { literal: { value: 'b' } } },
    },
  ],
  metrics: [
    {
      overrides: [
        { match: { metric: 'REQUEST_COUNT' }, tagOverrides: { a: { operation: 'UPSERT', value: 'b' } } },
      ],
    },
  ],
  accessLogging: [{ match: { mode: 'SERVER' }, filter: { expression: 'true' } }],
};
/** Its ConfigMap is for the test to add, or not. */
export const BACKEND_TLS_POLICY = {
  targetRefs: [
    { group: '', kind: 'Service', name: 'cart' },
    { group: '', kind: 'Service', name: 'cart', sectionName: 'tcp' },
  ],
  validation: {
    hostname: 'a.example.com',
    wellKnownCACertificates: 'System',
    caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'authorities' }],
    subjectAltNames: [
      { type: 'Hostname', hostname: 'a' },
      { type: 'URI', uri: 'spiffe://a/b' },
    ],
  },
};

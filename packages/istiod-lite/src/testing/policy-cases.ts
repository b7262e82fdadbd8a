/**
 * Policies that must not get into a cluster, and what refuses them: one table, for the webhook's test and for the test
 * of the definitions at a real API server.
 */

export interface PolicyCase {
  readonly kind:
    | 'AuthorizationPolicy'
    | 'PeerAuthentication'
    | 'RequestAuthentication'
    | 'VirtualService'
    | 'DestinationRule'
    | 'Telemetry';
  readonly spec: object;
  /** What our validation says, the whole of it or one of several. */
  readonly webhook: string;
  /** What stands in the API server's refusal, which comes first; absent: it has no rule for this. */
  readonly definition?: string;
}

const authorization = (spec: object, webhook: string, definition?: string): PolicyCase => ({
  kind: 'AuthorizationPolicy',
  spec,
  webhook,
  ...(definition !== undefined && { definition }),
});
const peer = (spec: object, webhook: string, definition?: string): PolicyCase => ({
  ...authorization(spec, webhook, definition),
  kind: 'PeerAuthentication',
});
const tokens = (rule: object, webhook: string, definition?: string): PolicyCase => ({
  ...authorization({ jwtRules: [rule] }, webhook, definition),
  kind: 'RequestAuthentication',
});
const ofKind =
  (kind: PolicyCase['kind']) =>
  (spec: object, webhook: string, definition?: string): PolicyCase => ({
    ...authorization(spec, webhook, definition),
    kind,
  });
const virtual = ofKind('VirtualService');
const destination = ofKind('DestinationRule');
const telemetry = ofKind('Telemetry');
/** A VirtualService with one rule for requests, which goes to `a` unless it says otherwise. */
const http = (part: object, webhook: string, definition?: string) =>
  virtual(
    { hosts: ['a'], http: [{ route: [{ destination: { host: 'a' } }], ...part }] },
    webhook,
    definition,
  );
const traffic = (trafficPolicy: object, webhook: string, definition?: string) =>
  destination({ host: 'a', trafficPolicy }, webhook, definition);
const rule = (part: object) => ({ rules: [part] });
const source = (fields: object) => rule({ from: [{ source: fields }] });
const operation = (fields: object) => rule({ to: [{ operation: fields }] });
const when = (condition: object) => rule({ when: [condition] });
const custom = (rules?: readonly object[]) => ({
  action: 'CUSTOM',
  provider: { name: 'p' },
  ...(rules && { rules }),
});
const GATEWAY_API = 'gateway.networking.k8s.io';
const selector = { matchLabels: { app: 'a' } };

export const REFUSED: Readonly<Record<string, PolicyCase>> = {
  'two attachments': authorization(
    { selector: {}, targetRef: { kind: 'Service', name: 'a' } },
    'spec: only one of selector, targetRef and targetRefs may be set',
    'only one of selector, targetRef and targetRefs may be set',
  ),
  'a target of another kind': authorization(
    { targetRef: { kind: 'Pod', name: 'a' } },
    'spec.targetRef.kind: must be one of Service, ServiceEntry, Gateway, GatewayClass',
    'kind: must be one of Service, ServiceEntry, Gateway, GatewayClass',
  ),
  'a target of another group': authorization(
    { targetRefs: [{ kind: 'Gateway', name: 'a' }] },
    `spec.targetRefs[0].group: must be "${GATEWAY_API}" for a Gateway`,
    `group: must be "${GATEWAY_API}" for a Gateway or GatewayClass`,
  ),
  'a Service of a group': authorization(
    { targetRefs: [{ group: 'networking.istio.io', kind: 'Service', name: 'a' }] },
    'spec.targetRefs[0].group: must be "" for a Service',
    'group: must be empty for a Service',
  ),
  'a ServiceEntry without its group': authorization(
    { targetRefs: [{ kind: 'ServiceEntry', name: 'a' }] },
    'spec.targetRefs[0].group: must be "networking.istio.io" for a ServiceEntry',
    'group: must be "networking.istio.io" for a ServiceEntry',
  ),
  'a target without a name': authorization(
    { targetRefs: [{ kind: 'Service', name: '' }] },
    'spec.targetRefs[0].name: must have at least 1 characters',
    'spec.targetRefs[0].name',
  ),
  'a target elsewhere': authorization(
    { targetRef: { kind: 'Service', name: 'a', namespace: 'b' } },
    'spec.targetRef.namespace: must be empty: a target is in the namespace of the policy',
    'namespace: must be empty: a target is in the namespace of the policy',
  ),
  'a wildcard in the selector': authorization(
    { selector: { matchLabels: { app: 'a*' } } },
    'spec.selector.matchLabels.app: wildcards are not supported',
    'wildcards are not supported',
  ),
  'an unknown action': authorization(
    { action: 'BLOCK' },
    'spec.action: must be one of ALLOW, DENY, AUDIT, CUSTOM',
    'Unsupported value: "BLOCK"',
  ),
  'DENY without rules': authorization(
    { action: 'DENY' },
    'spec.rules: a DENY policy without rules denies nothing',
    'rules: a DENY policy without rules denies nothing',
  ),
  'DENY with an empty list of rules': authorization(
    { action: 'DENY', rules: [] },
    'spec.rules: a DENY policy without rules denies nothing',
    'rules: a DENY policy without rules denies nothing',
  ),
  'CUSTOM without a provider': authorization(
    { action: 'CUSTOM', rules: [{}] },
    'spec.provider.name: is required with the CUSTOM action',
    'provider.name: is required with the CUSTOM action',
  ),
  'CUSTOM without rules': authorization(
    custom(),
    'spec.rules: are required with the CUSTOM action; an empty rule matches all',
    'rules: are required with the CUSTOM action; an empty rule matches all',
  ),
  'CUSTOM on identity': authorization(
    custom([{ from: [{ source: { namespaces: ['a'] } }] }]),
    'spec.rules[0].from[0].source.namespaces: is not supported with the CUSTOM action',
  ),
  'CUSTOM on an identity condition': authorization(
    custom([{ when: [{ key: 'source.principal', values: ['a'] }] }]),
    'spec.rules[0].when[0].key: source.principal is not supported with the CUSTOM action',
  ),
  'a provider without CUSTOM': authorization(
    { provider: { name: 'p' } },
    'spec.provider: is only for the CUSTOM action',
    'provider: is only for the CUSTOM action',
  ),
  'no source in from': authorization(
    rule({ from: [] }),
    'spec.rules[0].from: must have at least 1 items',
    'spec.rules[0].from in body should have at least 1 items',
  ),
  'no operation in to': authorization(
    rule({ to: [] }),
    'spec.rules[0].to: must have at least 1 items',
    'spec.rules[0].to in body should have at least 1 items',
  ),
  'a source that is not there': authorization(
    rule({ from: [{}] }),
    'spec.rules[0].from[0].source: is required',
    'spec.rules[0].from[0].source: Required value',
  ),
  'a source that says nothing': authorization(
    source({}),
    'spec.rules[0].from[0].source: must have at least one field',
    'spec.rules[0].from[0].source in body should have at least 1 properties',
  ),
  'an operation that says nothing': authorization(
    operation({}),
    'spec.rules[0].to[0].operation: must have at least one field',
    'spec.rules[0].to[0].operation in body should have at least 1 properties',
  ),
  'an empty list': authorization(
    source({ namespaces: [] }),
    'spec.rules[0].from[0].source.namespaces: must have at least 1 items',
    'spec.rules[0].from[0].source.namespaces in body should have at least 1 items',
  ),
  'an empty value': authorization(
    operation({ ports: [''] }),
    'spec.rules[0].to[0].operation.ports[0]: must have at least 1 characters',
    'spec.rules[0].to[0].operation.ports[0]',
  ),
  'an identity with a scheme': authorization(
    source({ principals: ['spiffe://cluster.local/ns/a/sa/b'] }),
    'spec.rules[0].from[0].source.principals: identities are written without spiffe://; with it they never match',
    'principals: identities are written without spiffe://; with it they never match',
  ),
  'an identity with a scheme among others': authorization(
    source({ notPrincipals: ['cluster.local/ns/a/sa/b', 'spiffe://cluster.local/ns/a/sa/c'] }),
    'spec.rules[0].from[0].source.notPrincipals: identities are written without spiffe://; with it they never match',
  ),
  'an identity with a scheme in a condition': authorization(
    when({ key: 'source.principal', values: ['spiffe://cluster.local/ns/a/sa/b'] }),
    'spec.rules[0].when[0].values: identities are written without spiffe://; with it they never match',
    'values: identities are written without spiffe://; with it they never match',
  ),
  'a host name for an address': authorization(
    source({ ipBlocks: ['db.example.com'] }),
    'spec.rules[0].from[0].source.ipBlocks: "db.example.com" is not an IP address or a CIDR block',
    'spec.rules[0].from[0].source.ipBlocks[0] in body should match',
  ),
  'no whole address': authorization(
    source({ notIpBlocks: ['10.0.0'] }),
    'spec.rules[0].from[0].source.notIpBlocks: "10.0.0" is not an IP address or a CIDR block',
  ),
  'a prefix that is too long': authorization(
    source({ ipBlocks: ['10.0.0.0/33'] }),
    'spec.rules[0].from[0].source.ipBlocks: "10.0.0.0/33" is not an IP address or a CIDR block',
  ),
  'a port that is too high': authorization(
    operation({ notPorts: ['65536'] }),
    'spec.rules[0].to[0].operation.notPorts: "65536" is not a port from 1 to 65535',
    'spec.rules[0].to[0].operation.notPorts[0] in body should match',
  ),
  'port 0': authorization(
    operation({ ports: ['0'] }),
    'spec.rules[0].to[0].operation.ports: "0" is not a port from 1 to 65535',
    'spec.rules[0].to[0].operation.ports[0] in body should match',
  ),
  'a port by its name': authorization(
    operation({ ports: ['http'] }),
    'spec.rules[0].to[0].operation.ports: "http" is not a port from 1 to 65535',
    'spec.rules[0].to[0].operation.ports[0] in body should match',
  ),
  'a port as a number': authorization(
    operation({ ports: [80] }),
    'spec.rules[0].to[0].operation.ports[0]: must be text',
    'spec.rules[0].to[0].operation.ports[0] in body must be of type string',
  ),
  'a template with more in a segment': authorization(
    operation({ paths: ['/a/b{*}'] }),
    'spec.rules[0].to[0].operation.paths: "/a/b{*}" is not a template: {*} and {**} are whole segments, and nothing but text may follow {**}',
  ),
  'a template that goes on after all': authorization(
    operation({ notPaths: ['/a/{**}/b/{*}'] }),
    'spec.rules[0].to[0].operation.notPaths: "/a/{**}/b/{*}" is not a template: {*} and {**} are whole segments, and nothing but text may follow {**}',
  ),
  'a wildcard account': authorization(
    source({ serviceAccounts: ['a/*'] }),
    'spec.rules[0].from[0].source.serviceAccounts: "a/*": wildcards are not supported',
  ),
  'an account of three parts': authorization(
    source({ serviceAccounts: ['a/b/c'] }),
    'spec.rules[0].from[0].source.serviceAccounts: "a/b/c" is neither name nor namespace/name',
  ),
  'accounts with namespaces': authorization(
    source({ serviceAccounts: ['a'], namespaces: ['b'] }),
    'spec.rules[0].from[0].source: serviceAccounts cannot be joined with principals or namespaces',
    'serviceAccounts cannot be joined with principals or namespaces',
  ),
  'an unknown condition': authorization(
    when({ key: 'source.port', values: ['1'] }),
    'spec.rules[0].when[0].key: unknown attribute "source.port"',
  ),
  'a condition on nothing that is known': authorization(
    when({ key: 'namespace', values: ['a'] }),
    'spec.rules[0].when[0].key: unknown attribute "namespace"',
    'key: unknown attribute',
  ),
  'a condition without values': authorization(
    when({ key: 'source.ip' }),
    'spec.rules[0].when[0]: must have values or notValues',
    'must have values or notValues',
  ),
  'a condition on no IP': authorization(
    when({ key: 'destination.ip', values: ['host'] }),
    'spec.rules[0].when[0].values: "host" is not an IP address or a CIDR block',
  ),
  'a form that is not one': authorization(
    { rules: { from: [] } },
    'spec.rules: must be a list',
    'spec.rules in body must be of type array',
  ),

  'ports without a selector': peer(
    { portLevelMtls: { 80: { mode: 'STRICT' } } },
    'spec.portLevelMtls: needs a selector',
    'portLevelMtls: needs a selector',
  ),
  'ports with a selector that selects all': peer(
    { selector: {}, portLevelMtls: { 80: { mode: 'STRICT' } } },
    'spec.portLevelMtls: needs a selector',
    'portLevelMtls: needs a selector',
  ),
  'no port': peer(
    { selector, portLevelMtls: {} },
    'spec.portLevelMtls: must have at least one field',
    'spec.portLevelMtls in body should have at least 1 properties',
  ),
  'port 0 with a mode': peer(
    { selector, portLevelMtls: { 0: { mode: 'STRICT' } } },
    'spec.portLevelMtls.0: is not a port from 1 to 65535',
    'portLevelMtls: each key must be a port from 1 to 65535',
  ),
  'a port by its name with a mode': peer(
    { selector, portLevelMtls: { http: { mode: 'STRICT' } } },
    'spec.portLevelMtls.http: is not a port from 1 to 65535',
    'portLevelMtls: each key must be a port from 1 to 65535',
  ),
  'a mode in small letters': peer(
    { mtls: { mode: 'strict' } },
    'spec.mtls.mode: must be one of UNSET, DISABLE, PERMISSIVE, STRICT',
    'Unsupported value: "strict"',
  ),
  'a wildcard in the selector of a mode': peer(
    { selector: { matchLabels: { 'app*': 'a' } } },
    'spec.selector.matchLabels.app*: wildcards are not supported',
    'wildcards are not supported',
  ),

  'tokens of two attachments': {
    ...tokens({}, 'spec: only one of selector, targetRef and targetRefs may be set'),
    spec: { selector: {}, targetRef: { kind: 'Service', name: 'a' } },
    definition: 'only one of selector, targetRef and targetRefs may be set',
  },
  'tokens of nobody': tokens(
    { jwks: '{"keys":[]}' },
    'spec.jwtRules[0].issuer: is required',
    'spec.jwtRules[0].issuer: Required value',
  ),
  'keys from two places': tokens(
    { issuer: 'a', jwksUri: 'https://a/keys', jwks: '{"keys":[]}' },
    'spec.jwtRules[0]: only one of jwksUri and jwks may be set',
    'only one of jwksUri and jwks may be set',
  ),
  'keys by another protocol': tokens(
    { issuer: 'a', jwksUri: 'file:///keys' },
    'spec.jwtRules[0].jwksUri: "file:///keys" is not an http or https URI',
    'spec.jwtRules[0].jwksUri in body should match',
  ),
  'keys from a host without a name': tokens(
    { issuer: 'a', jwksUri: 'https://:443/keys' },
    'spec.jwtRules[0].jwksUri: "https://:443/keys" is not an http or https URI',
  ),
  'keys that are none': tokens(
    { issuer: 'a', jwks: '{"kid":"a"}' },
    'spec.jwtRules[0].jwks: is not a JSON Web Key Set',
  ),
  'keys that never come': tokens(
    { issuer: 'a', timeout: '0s' },
    'spec.jwtRules[0].timeout: "0s" is not a duration such as 5s',
  ),
  'a token in a header that is none': tokens(
    { issuer: 'a', fromHeaders: [{ name: 'a b' }] },
    'spec.jwtRules[0].fromHeaders[0].name: "a b" is not a header',
  ),
  'a claim to a header that is none': tokens(
    { issuer: 'a', outputClaimToHeaders: [{ header: 'a:b', claim: 'sub' }] },
    'spec.jwtRules[0].outputClaimToHeaders[0].header: "a:b" is not a header',
    'spec.jwtRules[0].outputClaimToHeaders[0].header in body should match',
  ),

  'a VirtualService that says nothing': virtual({ hosts: ['a'] }, 'spec: needs http, tls or tcp'),
  'a host that is none': virtual(
    { hosts: ['a_b'], http: [{ route: [{ destination: { host: 'a' } }] }] },
    'spec.hosts[0]: "a_b" is not a DNS name: "a_b"',
  ),
  'a rule that does nothing': http(
    { route: [] },
    'spec.http[0]: needs route, redirect, directResponse or delegate',
  ),
  'a rule that does two things': http(
    { redirect: { uri: '/' } },
    'spec.http[0]: only one of route, redirect, directResponse and delegate may be set',
  ),
  'a match of two kinds': http(
    { match: [{ uri: { exact: '/', prefix: '/' } }] },
    'spec.http[0].match[0].uri: must have at most 1 entries',
    'spec.http[0].match[0].uri: Too many: 2: must have at most 1 item',
  ),
  'a regular expression that is none': http(
    { match: [{ headers: { a: { regex: '(' } } }] },
    'spec.http[0].match[0].headers.a.regex: regex (: error parsing regexp: missing closing ): `(`',
  ),
  'a header that is none': http(
    { match: [{ headers: { 'a b': { exact: 'c' } } }] },
    'spec.http[0].match[0].headers.a b: is not a header',
  ),
  'a timeout without a unit': http(
    { timeout: '5' },
    'spec.http[0].timeout: "5" is not a duration such as 5s',
  ),
  'a retry for a reason that nobody knows': http(
    { retries: { attempts: 1, retryOn: '5xx,bad-luck' } },
    'spec.http[0].retries.retryOn: "bad-luck" is not known',
  ),
  'too many tries': http(
    { retries: { attempts: 101 } },
    'spec.http[0].retries.attempts: must be at most 100',
    'spec.http[0].retries.attempts in body should be less than or equal to 100',
  ),
  'a fault with two statuses': http(
    { fault: { abort: { httpStatus: 500, grpcStatus: 'ABORTED' } } },
    'spec.http[0].fault.abort: must have one of httpStatus and grpcStatus',
  ),
  'a share above all': http(
    { fault: { abort: { httpStatus: 500, percentage: { value: 101 } } } },
    'spec.http[0].fault.abort.percentage.value: must be at most 100',
    'spec.http[0].fault.abort.percentage.value in body should be less than or equal to 100',
  ),
  'a redirect by a status that is none': http(
    { route: [], redirect: { uri: '/', redirectCode: 200 } },
    'spec.http[0].redirect.redirectCode: 200 is not a redirect',
  ),
  'weights of nothing': http(
    { route: [{ destination: { host: 'a' }, weight: 0 }, { destination: { host: 'b' } }] },
    'spec.http[0].route: weights add up to nothing',
  ),
  'a destination without a host': http(
    { route: [{ destination: { subset: 'v1' } }] },
    'spec.http[0].route[0].destination.host: is required',
    'spec.http[0].route[0].destination.host: Required value',
  ),
  'a value that ends its header': http(
    { headers: { request: { set: { a: 'b\r\nc: d' } } } },
    'spec.http[0].headers.request: a value has a line break in it',
  ),
  'a path that ends its request': http(
    { rewrite: { uri: '/a HTTP/1.1' } },
    'spec.http[0].rewrite.uri: "/a HTTP/1.1" is no path',
  ),
  'TLS without a name': virtual(
    { hosts: ['a'], tls: [{ match: [{ port: 443 }], route: [{ destination: { host: 'a' } }] }] },
    'spec.tls[0].match[0].sniHosts: is required',
    'spec.tls[0].match[0].sniHosts: Required value',
  ),
  'connections that go nowhere': virtual({ hosts: ['a'], tcp: [{}] }, 'spec.tcp[0].route: is required'),

  'a rule for nobody': destination({}, 'spec.host: is required', 'spec.host: Required value'),
  'two subsets of a name': destination(
    { host: 'a', subsets: [{ name: 'v1' }, { name: 'v1' }] },
    'spec.subsets[1].name: "v1" is there already',
  ),
  'two ways to balance': traffic(
    { loadBalancer: { simple: 'RANDOM', consistentHash: { useSourceIp: true } } },
    'spec.trafficPolicy.loadBalancer: only one of simple and consistentHash may be set',
  ),
  'a hash of nothing': traffic(
    { loadBalancer: { consistentHash: {} } },
    'spec.trafficPolicy.loadBalancer.consistentHash: must have exactly one of httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName',
  ),
  'a way to balance that nobody knows': traffic(
    { loadBalancer: { simple: 'FAIR' } },
    'spec.trafficPolicy.loadBalancer.simple: must be one of UNSPECIFIED, LEAST_CONN, RANDOM, PASSTHROUGH, ROUND_ROBIN, LEAST_REQUEST',
    'Unsupported value: "FAIR"',
  ),
  'a hash of what is no header': traffic(
    { loadBalancer: { consistentHash: { httpHeaderName: 'x:y' } } },
    'spec.trafficPolicy.loadBalancer.consistentHash.httpHeaderName: is not a header',
  ),
  'a hash of what is no cookie': traffic(
    { loadBalancer: { consistentHash: { httpCookie: { name: 'a;b' } } } },
    'spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.name: is not the name of a cookie',
  ),
  'a cookie that ends its path': traffic(
    { loadBalancer: { consistentHash: { httpCookie: { name: 'a', path: '/;b', ttl: '0s' } } } },
    'spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.path: is not a path for cookies',
  ),
  'a table that is not of a prime': traffic(
    { loadBalancer: { consistentHash: { useSourceIp: true, maglev: { tableSize: 1_000 } } } },
    'spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize: must be a prime up to 1048576',
  ),
  'a time without a unit': traffic(
    { connectionPool: { tcp: { connectTimeout: '1' } } },
    'spec.trafficPolicy.connectionPool.tcp.connectTimeout: "1" is not a duration such as 5s',
  ),
  'settings of no port': traffic(
    { portLevelSettings: [{}] },
    'spec.trafficPolicy.portLevelSettings[0].port.number: is required',
  ),
  'a tunnel': traffic(
    { tunnel: { targetHost: 'a', targetPort: 1 } },
    'spec.trafficPolicy.tunnel: is not supported',
  ),
  'half of a pair': traffic(
    { tls: { mode: 'MUTUAL', clientCertificate: '/a' } },
    'spec.trafficPolicy.tls.privateKey: is required with mode MUTUAL, or credentialName is',
  ),
  'files beside a Secret': traffic(
    { tls: { mode: 'MUTUAL', credentialName: 'a', privateKey: '/a', caCrl: '/b' } },
    'spec.trafficPolicy.tls: only one of credentialName and privateKey, caCrl may be set',
  ),
  'a Secret of another namespace': traffic(
    { tls: { mode: 'SIMPLE', credentialName: 'kubernetes://a/b' } },
    'spec.trafficPolicy.tls.credentialName: "kubernetes://a/b" is no name of a Secret',
  ),
  'a file of nowhere': traffic(
    { tls: { mode: 'SIMPLE', caCertificates: 'ca.crt' } },
    'spec.trafficPolicy.tls.caCertificates: "ca.crt" is no absolute path',
  ),
  'names that nobody need prove': traffic(
    { tls: { mode: 'SIMPLE', insecureSkipVerify: true, subjectAltNames: ['a'] } },
    'spec.trafficPolicy.tls: insecureSkipVerify leaves nothing for authorities and subjectAltNames to do',
  ),

  'a report of two attachments': telemetry(
    { selector: {}, targetRef: { kind: 'Service', name: 'a' } },
    'spec: only one of selector, targetRef and targetRefs may be set',
    'only one of selector, targetRef and targetRefs may be set',
  ),
  'a sample of more than all': telemetry(
    { tracing: [{ randomSamplingPercentage: 101 }] },
    'spec.tracing[0].randomSamplingPercentage: must be at most 100',
    'spec.tracing[0].randomSamplingPercentage in body should be less than or equal to 100',
  ),
  'a label of nothing': telemetry(
    { metrics: [{ overrides: [{ tagOverrides: { a: {} } }] }] },
    'spec.metrics[0].overrides[0].tagOverrides.a.value: is required to upsert',
  ),
};

/** What everybody must let pass. */
export const ACCEPTED: Readonly<Record<string, Omit<PolicyCase, 'webhook' | 'definition'>>> = {
  'an empty one': authorization({}, ''),
  'one that allows all': authorization({ rules: [{}] }, ''),
  'one for a waypoint with HTTP in it': authorization(
    {
      targetRefs: [{ kind: 'Service', name: 'a', group: '' }],
      rules: [
        {
          to: [
            { operation: { methods: ['GET'], paths: ['/a/{*}/b', '/{**}', '/a/{*}/{**}/c/d', '/*', '*/e'] } },
          ],
        },
      ],
    },
    '',
  ),
  'CUSTOM with provider and rules': authorization(
    { ...custom([{}]), targetRef: { kind: 'Gateway', group: GATEWAY_API, name: 'w' } },
    '',
  ),
  'every form of value': authorization(
    rule({
      from: [
        { source: { ipBlocks: ['10.0.0.1', 'fd00::/8'], namespaces: ['*', 'a*'] } },
        { source: { serviceAccounts: ['a', 'b/c'] } },
        { source: { principals: ['cluster.local/ns/a/sa/b', '*/sa/c'] } },
      ],
      to: [{ operation: { ports: ['1', '00080', '65535'] } }],
      when: [
        { key: 'destination.port', notValues: ['80'] },
        { key: 'source.ip', values: ['::1'] },
      ],
    }),
    '',
  ),
  'modes by port': peer(
    { selector, mtls: { mode: 'STRICT' }, portLevelMtls: { 80: { mode: 'PERMISSIVE' }, 65535: {} } },
    '',
  ),
  'nothing at all': peer({}, ''),
  'tokens of several issuers': {
    ...tokens({}, ''),
    spec: {
      targetRefs: [{ kind: 'Service', group: '', name: 'a' }],
      jwtRules: [
        { issuer: 'a', jwks: '{"keys":[]}', timeout: '1.5s', fromCookies: ['a'] },
        { issuer: 'b', jwksUri: 'HTTPS://b/keys', outputClaimToHeaders: [{ header: 'x-b', claim: 'b.c' }] },
        { issuer: 'c', jwks_uri: 'http://c:8080/keys', fromHeaders: [{ name: 'x-c', prefix: 'C ' }] },
        { issuer: 'https://d' },
      ],
    },
  },
  'rules of every kind': virtual(
    {
      hosts: ['a', '*.b.example.com', '*'],
      gateways: ['mesh', 'istio-system/ingress'],
      exportTo: ['.', 'c'],
      http: [
        {
          match: [{ uri: { regex: '/(?i)a.*' }, headers: { a: {} }, queryParams: { b: { exact: 'c' } } }],
          route: [
            { destination: { host: 'a', subset: 'v1', port: { number: 80 } }, weight: 1 },
            { destination: { host: 'a' }, weight: 99 },
          ],
          timeout: '0s',
          retries: { attempts: 0, retryOn: '503,reset' },
          fault: { delay: { fixedDelay: '1.5s', percentage: { value: 0.01 } } },
          rewrite: { uri: '/', authority: 'b:8080' },
          corsPolicy: { allowOrigins: [{ exact: '*' }], maxAge: '24h' },
          headers: { request: { set: { ':authority': 'a' } } },
        },
        { directResponse: { status: 503, body: { string: 'later' } } },
        { redirect: { uri: '/a', redirectCode: 308 } },
        { delegate: { name: 'd' } },
      ],
      tls: [{ match: [{ sniHosts: ['*.a.example.com'] }], route: [{ destination: { host: 'a' } }] }],
      tcp: [{ match: [{ port: 5432 }], route: [{ destination: { host: 'a' } }] }],
    },
    '',
  ),
  'a rule with all settings': traffic(
    {
      loadBalancer: { simple: 'LEAST_REQUEST', warmup: { duration: '1s' } },
      connectionPool: { tcp: { idleTimeout: '0s' }, http: { maxRetries: 1, h2UpgradePolicy: 'UPGRADE' } },
      outlierDetection: { consecutive5xxErrors: 0, interval: '1s' },
      tls: { mode: 'SIMPLE', sni: 'a' },
      portLevelSettings: [
        { port: { number: 80 }, tls: { mode: 'DISABLE' } },
        {
          port: { number: 81 },
          tls: { mode: 'MUTUAL', credentialName: 'kubernetes://a', insecureSkipVerify: true },
        },
        {
          port: { number: 82 },
          tls: { mode: 'MUTUAL', clientCertificate: '/a', privateKey: '/b', caCrl: '/c' },
        },
      ],
    },
    '',
  ),
  'reports of every kind': telemetry(
    {
      tracing: [{ customTags: { a: { literal: { value: 'b' } } }, randomSamplingPercentage: 0.5 }],
      metrics: [{ overrides: [{ match: { metric: 'ALL_METRICS' }, tagOverrides: { a: { value: '1' } } }] }],
      accessLogging: [{ filter: { expression: 'true' } }],
    },
    '',
  ),
};

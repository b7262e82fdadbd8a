/** `VirtualService` of networking.istio.io: how requests and connections to hosts go on. */
import {
  flag,
  integer,
  list,
  map,
  NO_EFFECT,
  number,
  object,
  oneOf,
  type StructuralSchema,
  text,
} from './openapi.ts';
import { portNumber } from './workload-entry.ts';

const MAX_UINT32 = 4_294_967_295;
const uint32 = (description: string) => integer(description, { minimum: 0, maximum: MAX_UINT32 });
const texts = (description: string): StructuralSchema => list(text(), description);
const duration = (description: string) => text(description, { maxLength: 64 });

/** One of its fields, or none: then only presence counts. */
const stringMatch = (description: string): StructuralSchema =>
  object(
    {
      exact: text('The whole text.'),
      prefix: text('What the text begins with.'),
      regex: text('RE2 syntax, for the whole text.'),
    },
    { description, maxProperties: 1 },
  );
const matchesByName = (description: string) => map(stringMatch('How the value matches.'), description);

const percent = object({ value: number('Per cent, from 0 to 100.', { minimum: 0, maximum: 100 }) });

const destination = object(
  {
    host: text('Service, by its name in this namespace or by its full name.', {
      minLength: 1,
      maxLength: 255,
    }),
    subset: text('Subset of its DestinationRule.', { maxLength: 63 }),
    port: object({
      number: portNumber('Port of the service. Default: its only one, or that of the request.'),
    }),
  },
  { required: ['host'] },
);

const headerOperations = object({
  set: map(text(), 'Headers to overwrite.'),
  add: map(text(), 'Headers to add.'),
  remove: texts('Headers to remove.'),
});
const headers = object(
  { request: headerOperations, response: headerOperations },
  { description: 'Changes of headers.' },
);

const httpMatch = object(
  {
    name: text('For logs.'),
    uri: stringMatch('Path.'),
    scheme: stringMatch('Scheme.'),
    method: stringMatch('Method.'),
    authority: stringMatch('Host as the client named it.'),
    headers: matchesByName('By name of the header.'),
    withoutHeaders: matchesByName('None of these may match.'),
    queryParams: matchesByName('By name of the parameter.'),
    ignoreUriCase: flag('Whether capitals in the path do not count, except in a regex.'),
    port: portNumber('Port of the service.'),
    gateways: texts('A waypoint heeds matches for mesh alone.'),
    sourceLabels: map(text(), 'Never match at a waypoint.'),
    sourceNamespace: text('Namespace of the client.'),
    statPrefix: text(NO_EFFECT),
  },
  { description: 'All of the given parts must match.' },
);

const MIN_STATUS = 200;
const MAX_STATUS = 599;
const MAX_INT32 = 2_147_483_647;

const httpRoute = object({
  name: text('For logs.'),
  match: list(httpMatch, 'Any of these. Default: every request.'),
  route: list(
    object(
      { destination, weight: integer('Share of requests.', { minimum: 0, maximum: MAX_INT32 }), headers },
      { required: ['destination'] },
    ),
    'Where requests go.',
  ),
  redirect: object(
    {
      uri: text('The path instead.'),
      prefixRewrite: text('Instead of the prefix that matched.'),
      authority: text('The host instead.'),
      port: portNumber('The port instead.'),
      derivePort: oneOf(
        ['FROM_PROTOCOL_DEFAULT', 'FROM_REQUEST_PORT'],
        'Where the port comes from otherwise.',
      ),
      scheme: text('The scheme instead.'),
      redirectCode: uint32('Status. Default 301.'),
    },
    { description: 'Instead of a destination.' },
  ),
  directResponse: object(
    {
      status: integer('Status.', { minimum: MIN_STATUS, maximum: MAX_STATUS }),
      body: object(
        { string: text('As text.'), bytes: { type: 'string', format: 'byte', description: 'As base64.' } },
        { maxProperties: 1 },
      ),
    },
    { description: 'Instead of a destination.', required: ['status'] },
  ),
  delegate: object(
    { name: text('Of a VirtualService without hosts.'), namespace: text('Default: this one.') },
    { description: 'Instead of a destination: what another VirtualService says.' },
  ),
  rewrite: object({
    uri: text('Instead of the prefix that matched, or of the whole path.'),
    authority: text('The host instead.'),
    uriRegexRewrite: object({
      match: text('RE2 syntax.', { maxLength: 1_024 }),
      rewrite: text('With \\1 for groups.'),
    }),
  }),
  timeout: duration('Of the request. Default: none.'),
  retries: object({
    attempts: integer('Tries after the first.', { minimum: 0, maximum: 100 }),
    perTryTimeout: duration('Of each try.'),
    retryOn: text("Envoy's words, or statuses, with commas between them."),
    retryRemoteLocalities: flag('Whether retries may go to other localities.'),
    retryIgnorePreviousHosts: flag('Whether retries avoid endpoints that were tried. Default true.'),
    backoff: duration('Least pause before a retry. Default 25ms.'),
  }),
  fault: object({
    delay: object({
      percent: integer('Older form of percentage.', { minimum: 0, maximum: 100 }),
      percentage: percent,
      fixedDelay: duration('How long requests wait.'),
      exponentialDelay: duration('Is not supported.'),
    }),
    abort: object({
      percentage: percent,
      httpStatus: integer('Status.', { minimum: MIN_STATUS, maximum: MAX_STATUS }),
      grpcStatus: text('Status of gRPC, as UNAVAILABLE.'),
      http2Error: text('Is not supported.'),
    }),
  }),
  mirror: destination,
  mirrors: list(
    object({ destination, percentage: percent }, { required: ['destination'] }),
    'Who gets a copy of requests as well.',
  ),
  mirrorPercentage: percent,
  mirrorPercent: uint32('Older form of mirrorPercentage.'),
  mirror_percent: uint32('Older form of mirrorPercentage.'),
  corsPolicy: object({
    allowOrigin: texts('Older form of allowOrigins.'),
    allowOrigins: list(stringMatch('An origin.'), 'Origins whose scripts may ask.'),
    allowMethods: texts('Methods that they may use.'),
    allowHeaders: texts('Headers that they may send.'),
    exposeHeaders: texts('Headers that they may read.'),
    maxAge: duration('How long the answer to a preflight counts.'),
    allowCredentials: flag('Whether they may send credentials.'),
    unmatchedPreflights: oneOf(
      ['UNSPECIFIED', 'FORWARD', 'IGNORE'],
      'What becomes of preflights from other origins. Default FORWARD.',
    ),
  }),
  headers,
});

const streamDestinations = list(
  object(
    { destination, weight: integer('Share of connections.', { minimum: 0, maximum: MAX_INT32 }) },
    { required: ['destination'] },
  ),
  'Where connections go.',
);
const streamMatch = {
  destinationSubnets: texts('Is not supported at a waypoint.'),
  port: portNumber('Port of the service.'),
  gateways: texts('A waypoint heeds matches for mesh alone.'),
  sourceLabels: map(text(), 'Never match at a waypoint.'),
  sourceNamespace: text('Namespace of the client.'),
};

export const virtualServiceSpec = object({
  hosts: texts(
    'Services that this is about: names in this namespace, full names, or names that begin with *.',
  ),
  gateways: texts('At a waypoint it must be empty, or have mesh in it.'),
  http: list(httpRoute, 'For requests; the first that matches decides.'),
  tls: list(
    object(
      {
        match: list(
          object(
            { ...streamMatch, sniHosts: texts('Names that the client asks for; may begin with *.') },
            { required: ['sniHosts'] },
          ),
          'Any of these.',
        ),
        route: streamDestinations,
      },
      { required: ['match'] },
    ),
    'For TLS that goes through; the first that matches decides.',
  ),
  tcp: list(
    object({
      match: list(
        object({ ...streamMatch, sourceSubnet: text('Is not supported at a waypoint.') }),
        'Any of these. Default: every connection.',
      ),
      route: streamDestinations,
    }),
    'For other connections; the first that matches decides.',
  ),
  exportTo: texts('Namespaces whose waypoints heed it: * for all, . for this one. Default *.'),
});

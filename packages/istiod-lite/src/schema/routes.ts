/**
 * The Gateway API's routes as far as we read them, to check objects with before they are translated. Their definitions
 * are upstream's; a field that is not here came later, and a rule that has it is not guessed at.
 */
import { integer, list, object, type StructuralSchema, text } from './openapi.ts';

const MAX_PORT = 65_535;
const port = integer(undefined, { minimum: 1, maximum: MAX_PORT });
const any = (schema: StructuralSchema): StructuralSchema => ({
  ...schema,
  'x-kubernetes-preserve-unknown-fields': true,
});

const reference = {
  group: text(),
  kind: text(),
  namespace: text(),
  name: text(undefined, { minLength: 1 }),
  port,
};
const backend = object(reference, { required: ['name'] });

const MAX_AUTHORIZER_PATH_LENGTH = 1_024;
/** As many as a waypoint keeps; until release 1.7 the Gateway API has none above 65,535. */
const MAX_FORWARDED_BODY_BYTES = 4_194_304;

const nameAndValue = object(
  { name: text(undefined, { minLength: 1 }), value: text() },
  { required: ['name'] },
);
const headerModifier = object({ set: list(nameAndValue), add: list(nameAndValue), remove: list(text()) });
const pathModifier = object(
  { type: text(), replaceFullPath: text(), replacePrefixMatch: text() },
  { required: ['type'] },
);

const filter = object(
  {
    type: text(),
    requestHeaderModifier: headerModifier,
    responseHeaderModifier: headerModifier,
    requestMirror: object(
      {
        backendRef: backend,
        percent: integer(undefined, { minimum: 0, maximum: 100 }),
        fraction: object(
          {
            numerator: integer(undefined, { minimum: 0 }),
            denominator: integer(undefined, { minimum: 1 }),
          },
          { required: ['numerator'] },
        ),
      },
      { required: ['backendRef'] },
    ),
    requestRedirect: object({
      scheme: text(),
      hostname: text(),
      path: pathModifier,
      port,
      statusCode: integer(undefined, { minimum: 300, maximum: 399 }),
    }),
    urlRewrite: object({ hostname: text(), path: pathModifier }),
    cors: object({
      allowOrigins: list(text()),
      allowCredentials: { type: 'boolean' },
      allowMethods: list(text()),
      allowHeaders: list(text()),
      exposeHeaders: list(text()),
      maxAge: integer(undefined, { minimum: 0 }),
    }),
    externalAuth: object(
      {
        protocol: text(),
        backendRef: backend,
        grpc: object({ allowedHeaders: list(text()) }),
        http: object({
          path: text(undefined, { maxLength: MAX_AUTHORIZER_PATH_LENGTH }),
          allowedHeaders: list(text()),
          allowedResponseHeaders: list(text()),
        }),
        forwardBody: object({
          maxSize: integer(undefined, { minimum: 0, maximum: MAX_FORWARDED_BODY_BYTES }),
        }),
      },
      { required: ['protocol', 'backendRef'] },
    ),
    extensionRef: any(object({})),
  },
  { required: ['type'] },
);

const MAX_WEIGHT = 1_000_000;
const weight = integer(undefined, { minimum: 0, maximum: MAX_WEIGHT });
const filteredBackend = object({ ...reference, weight, filters: list(filter) }, { required: ['name'] });

const MAX_COOKIE_PATH_LENGTH = 1_024;

const sessionPersistence = object({
  absoluteTimeout: text(),
  idleTimeout: text(),
  type: text(),
  cookie: object({
    name: text(),
    path: text(undefined, { maxLength: MAX_COOKIE_PATH_LENGTH }),
    lifetimeType: text(),
  }),
  header: object({ name: text(undefined, { minLength: 1 }) }, { required: ['name'] }),
  // These two until release 1.6.
  sessionName: text(),
  cookieConfig: object({ lifetimeType: text() }),
});

const typedValue = object(
  { type: text(), name: text(undefined, { minLength: 1 }), value: text() },
  {
    required: ['name', 'value'],
  },
);

export const httpRouteMatches = list(
  object({
    path: object({ type: text(), value: text() }),
    headers: list(typedValue),
    queryParams: list(typedValue),
    method: text(),
  }),
);

export const httpRouteRule = object({
  name: text(),
  matches: httpRouteMatches,
  filters: list(filter),
  backendRefs: list(filteredBackend),
  timeouts: object({ request: text(), backendRequest: text() }),
  retry: object({
    codes: list(integer(undefined, { minimum: 400, maximum: 599 })),
    attempts: integer(),
    backoff: text(),
  }),
  sessionPersistence,
});

export const grpcRouteMatches = list(
  object({
    method: object({ type: text(), service: text(), method: text() }),
    headers: list(typedValue),
  }),
);

export const grpcRouteRule = object({
  name: text(),
  matches: grpcRouteMatches,
  filters: list(filter),
  backendRefs: list(filteredBackend),
  sessionPersistence,
});

export const streamRouteRule = object({
  name: text(),
  backendRefs: list(object({ ...reference, weight }, { required: ['name'] })),
});

/** Of any route; the rules are looked at one by one. */
export const routeSpec = any(
  object({
    parentRefs: list(object({ ...reference, sectionName: text() }, { required: ['name'] })),
    hostnames: list(text()),
    rules: list(any(object({}))),
  }),
);

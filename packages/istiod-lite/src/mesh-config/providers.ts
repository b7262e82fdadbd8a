/** The mesh's extension providers as Istio spells them: external authorizers, tracers, access logs. */
import { integer, list, map, object, oneOf, type StructuralSchema, text } from '../schema/openapi.ts';

interface RequestBody {
  readonly maxRequestBytes?: number;
  readonly allowPartialMessage?: boolean;
  readonly packAsBytes?: boolean;
}

interface ExternalAuthorizer {
  /** A hostname, or `namespace/hostname`. */
  readonly service: string;
  readonly port: number;
  readonly timeout?: string;
  readonly failOpen?: boolean;
  readonly statusOnError?: string;
  readonly includeRequestBodyInCheck?: RequestBody;
}

interface HttpExternalAuthorizer extends ExternalAuthorizer {
  readonly pathPrefix?: string;
  /** The older name of `includeRequestHeadersInCheck`. */
  readonly includeHeadersInCheck?: readonly string[];
  readonly includeRequestHeadersInCheck?: readonly string[];
  readonly includeAdditionalHeadersInCheck?: Readonly<Record<string, string>>;
  readonly headersToUpstreamOnAllow?: readonly string[];
  readonly headersToDownstreamOnDeny?: readonly string[];
  readonly headersToDownstreamOnAllow?: readonly string[];
}

interface ProviderHeader {
  readonly name: string;
  readonly value?: string;
  /** Of the proxy's environment. */
  readonly envName?: string;
}

interface OpenTelemetry {
  readonly service: string;
  readonly port: number;
  readonly maxTagLength?: number;
  readonly http?: {
    readonly path?: string;
    readonly timeout?: string;
    readonly headers?: readonly ProviderHeader[];
  };
  readonly grpc?: { readonly timeout?: string; readonly initialMetadata?: readonly ProviderHeader[] };
}

interface Zipkin {
  readonly service: string;
  readonly port: number;
  readonly maxTagLength?: number;
  readonly path?: string;
  readonly timeout?: string;
  readonly headers?: readonly ProviderHeader[];
}

interface FileAccessLog {
  readonly path?: string;
  readonly logFormat?: { readonly text?: string; readonly labels?: Readonly<Record<string, unknown>> };
}

/** One of the fields beside the name; none of them: a kind that we do not know. */
export interface ExtensionProvider {
  readonly name: string;
  readonly envoyExtAuthzHttp?: HttpExternalAuthorizer;
  readonly envoyExtAuthzGrpc?: ExternalAuthorizer;
  readonly opentelemetry?: OpenTelemetry;
  readonly zipkin?: Zipkin;
  readonly envoyFileAccessLog?: FileAccessLog;
  readonly prometheus?: object;
}

const tolerant = (schema: StructuralSchema): StructuralSchema => ({
  ...schema,
  'x-kubernetes-preserve-unknown-fields': true,
});

const flag: StructuralSchema = { type: 'boolean' };
const names = list(text());
const MAX_PORT = 65_535;
const service = {
  service: text(undefined, { minLength: 1 }),
  port: integer(undefined, { minimum: 1, maximum: MAX_PORT }),
};
const required = ['service', 'port'];
const MAX_UINT32 = 4_294_967_295;
const uint32 = integer(undefined, { minimum: 0, maximum: MAX_UINT32 });

const authorizer = {
  ...service,
  timeout: text(),
  failOpen: flag,
  statusOnError: text(),
  includeRequestBodyInCheck: object({
    maxRequestBytes: uint32,
    allowPartialMessage: flag,
    packAsBytes: flag,
  }),
  clearRouteCache: flag,
};

const headers = list(object({ name: text(), value: text(), envName: text() }, { required: ['name'] }));

/** What decides who may do what is read whole or not at all; of the rest, what is not known is let be. */
export const extensionProviders = list(
  tolerant(
    object(
      {
        name: text(undefined, { minLength: 1 }),
        envoyExtAuthzHttp: object(
          {
            ...authorizer,
            pathPrefix: text(),
            includeHeadersInCheck: names,
            includeRequestHeadersInCheck: names,
            includeAdditionalHeadersInCheck: map(text()),
            headersToUpstreamOnAllow: names,
            headersToDownstreamOnDeny: names,
            headersToDownstreamOnAllow: names,
          },
          { required },
        ),
        envoyExtAuthzGrpc: object(authorizer, { required }),
        opentelemetry: tolerant(
          object(
            {
              ...service,
              maxTagLength: uint32,
              http: tolerant(object({ path: text(), timeout: text(), headers })),
              grpc: tolerant(object({ timeout: text(), initialMetadata: headers })),
            },
            { required },
          ),
        ),
        zipkin: tolerant(
          object({ ...service, maxTagLength: uint32, path: text(), timeout: text(), headers }, { required }),
        ),
        envoyFileAccessLog: tolerant(
          object({ path: text(), logFormat: object({ text: text(), labels: tolerant(object({})) }) }),
        ),
        prometheus: tolerant(object({})),
      },
      { required: ['name'] },
    ),
  ),
);

export const defaultProviders = object({ tracing: names, metrics: names, accessLogging: names });

export const accessLogEncoding = oneOf(['TEXT', 'JSON']);
export const pathNormalization = oneOf([
  'DEFAULT',
  'NONE',
  'BASE',
  'MERGE_SLASHES',
  'DECODE_AND_MERGE_SLASHES',
]);

/** Everything that is not about objects: health, version, discovery, OpenAPI, the keys of tokens. */
import { createHash } from 'node:crypto';
import { ISSUER, type ServiceAccountTokens } from '../access/service-account-tokens.ts';
import { messageOf } from '@ambit/core/errors';
import { notFound, StatusError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import type { Context } from '../objects/context.ts';
import { aggregated, aggregatedType, apiGroup, apiGroupList, apiResourceList } from './discovery.ts';
import type { OpenApi } from './openapi.ts';
import { type Reply, sendError, sendJson, sendText } from './respond.ts';

/** The Kubernetes whose API this is a part of. */
export const KUBERNETES_VERSION = { major: '1', minor: '33', gitVersion: 'v1.33.5+ambit' };

export interface PathDependencies {
  readonly context: Context;
  readonly tokens: ServiceAccountTokens;
  readonly openApi: OpenApi;
  /** Why it is not ready yet, if it is not. */
  readonly notReady: () => string | undefined;
}

export function handlePath(dependencies: PathDependencies, reply: Reply, path: string): void {
  const { method } = reply.request;
  if (method !== 'GET' && method !== 'HEAD') {
    throw new StatusError(
      'MethodNotAllowed',
      'the server does not allow this method on the requested resource',
    );
  }
  const clean = path.length > 1 ? path.replace(/\/$/, '') : path;
  if (/^\/(?:healthz|livez|readyz)(?:\/.*)?$/.test(clean)) health(dependencies, reply);
  else if (clean === '/openapi/v2') openApiV2(dependencies, reply);
  else if (clean === '/openapi/v3' || clean.startsWith('/openapi/v3/')) openApiV3(dependencies, reply, clean);
  else if (clean === '/openid/v1/jwks') keys(dependencies, reply);
  else {
    const document = documentAt(dependencies, reply, clean);
    if (!document) throw notFound({ group: '', kind: 'the server could not find the requested resource' });
    sendJson(reply, 200, document.body, document.contentType);
  }
}

interface Document {
  readonly body: JsonObject;
  readonly contentType?: string;
}

function documentAt({ context }: PathDependencies, reply: Reply, path: string): Document | undefined {
  const { registry } = context;
  const all = aggregatedType(reply.request.headers.accept ?? '');
  const [, root, first, second, ...more] = path.split('/');
  if (path === '/')
    return {
      body: { paths: ['/api', '/apis', '/healthz', '/openapi/v2', '/openapi/v3', '/readyz', '/version'] },
    };
  if (path === '/version') return { body: versionInfo() };
  if (path === '/.well-known/openid-configuration') return { body: openIdConfiguration() };
  if (more.length > 0) return undefined;
  if (path === '/api' || path === '/apis') {
    if (all) {
      const body = aggregated(registry, path === '/api', `apidiscovery.k8s.io/${all.version}`);
      return { body, contentType: all.contentType };
    }
    return { body: path === '/apis' ? apiGroupList(registry) : coreVersions() };
  }
  if (root === 'api')
    return first === 'v1' && second === undefined ? { body: apiResourceList(registry, '', 'v1') } : undefined;
  if (root !== 'apis' || first === undefined) return undefined;
  if (second === undefined) {
    return registry.hasGroup(first)
      ? { body: { kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(registry, first) } }
      : undefined;
  }
  return registry.hasGroupVersion(first, second)
    ? { body: apiResourceList(registry, first, second) }
    : undefined;
}

const coreVersions = (): JsonObject => ({
  kind: 'APIVersions',
  versions: ['v1'],
  serverAddressByClientCIDRs: [],
});

const versionInfo = (): JsonObject => ({
  ...KUBERNETES_VERSION,
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: 'ambit-embedded',
  platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
});

const openIdConfiguration = (): JsonObject => ({
  issuer: ISSUER,
  jwks_uri: `${ISSUER}/openid/v1/jwks`,
  response_types_supported: ['id_token'],
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: ['ES256'],
});

function health({ notReady }: PathDependencies, reply: Reply): void {
  const why = notReady();
  if (why === undefined) sendText(reply, 200, 'ok', 'text/plain; charset=utf-8');
  else sendText(reply, 500, why, 'text/plain; charset=utf-8');
}

function keys({ tokens }: PathDependencies, reply: Reply): void {
  tokens.jwk().then(
    (jwk) => sendJson(reply, 200, { keys: [jwk as JsonObject] }, 'application/jwk-set+json'),
    (error: unknown) => sendError(reply, new StatusError('InternalError', messageOf(error))),
  );
}

/** As clients ask for it; answers say it with a dot, since an at sign is not allowed there. */
const PROTOBUF = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';

function openApiV2({ openApi }: PathDependencies, reply: Reply): void {
  const protobuf = (reply.request.headers.accept ?? '').includes(PROTOBUF);
  if (protobuf) sendCacheable(reply, openApi.v2Protobuf(), PROTOBUF.replace('@', '.'));
  else sendCacheable(reply, openApi.v2Json(), 'application/json');
}

function openApiV3({ openApi }: PathDependencies, reply: Reply, path: string): void {
  const body =
    path === '/openapi/v3' ? openApi.v3Index() : openApi.v3Document(path.slice('/openapi/v3/'.length));
  if (!body) throw notFound({ group: '', kind: 'the server could not find the requested resource' });
  sendCacheable(reply, body, 'application/json');
}

/** With an entity tag: kubectl keeps these documents and asks whether they still hold. */
function sendCacheable(reply: Reply, body: Buffer, contentType: string): void {
  const tag = `"${createHash('sha256').update(body).digest('hex').toUpperCase()}"`;
  reply.response.setHeader('ETag', tag);
  reply.response.setHeader('Vary', 'Accept');
  if (reply.request.headers['if-none-match'] === tag) reply.response.writeHead(304).end();
  else sendText(reply, 200, body, contentType);
}

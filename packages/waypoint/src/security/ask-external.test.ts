import { describe, expect, test } from '@jest/globals';
import {
  type CheckRequest,
  type CheckResponse,
  createCheckResponse,
  decodeCheckRequest,
  encodeCheckResponse,
} from '@ambit/api/external-authorization';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import type { AuthorizationSubject } from '../decide/authorization-facts.ts';
import { connection, request } from '../decide/testing/requests.ts';
import type { ExtAuthzGrpc, ExtAuthzHttp } from '../resources/authorizer.ts';
import { DEFAULT_MESH_SETTINGS, type ExtensionProvider } from '../resources/mesh-settings.ts';
import { ExternalAuthorizer, type ServiceRequest, type ServiceResponse } from './ask-external.ts';
import type { ExternalVerdict, KeptBody } from './external.ts';
import { grpcFrame, grpcMessage } from '../grpc.ts';

const COMMON = {
  service: 'authz.shop.svc.cluster.local',
  port: 9000,
  timeoutMs: 500,
  failOpen: false,
  statusOnError: 403,
  maxRequestBytes: 0,
  allowPartialMessage: false,
  includeRequestHeadersInCheck: [],
};
const GRPC: ExtAuthzGrpc = { kind: 'ext-authz-grpc', ...COMMON, packAsBytes: false };
const HTTP: ExtAuthzHttp = {
  kind: 'ext-authz-http',
  ...COMMON,
  pathPrefix: '/check',
  includeRequestHeadersInCheck: ['x-ask', 'x-pre-*', '*-suf'],
  includeAdditionalHeadersInCheck: [],
  headersToUpstreamOnAllow: ['x-user', 'x-up-*'],
  headersToDownstreamOnDeny: [],
  headersToDownstreamOnAllow: ['set-cookie'],
};

const ASKED: AuthorizationSubject = {
  request: request('/a/b?c=d', {
    method: 'POST',
    authority: 'cart:80',
    headers: {
      authorization: 'Bearer t',
      'x-ask': '1',
      'x-pre-a': '2',
      'x-a-suf': '3',
      'x-secret': '4',
      'x-request-id': 'id',
      'content-length': '9',
    },
  }),
  connection: connection({ sni: 'a.example' }),
  token: undefined,
};
const CHECK = { provider: 'asker', policies: ['shop/p'] };
const text = (content: string) => new TextEncoder().encode(content);

function answer(
  status: number,
  fields: readonly string[] = [],
  body = '',
  trailers?: readonly string[],
): ServiceResponse {
  return { status, fields, trailers, body: text(body) };
}

function grpcAnswer(response: Parameters<typeof createCheckResponse>[0]): ServiceResponse {
  const body = grpcFrame(encodeCheckResponse(createCheckResponse(response)));
  return { status: 200, fields: ['content-type', 'application/grpc'], trailers: ['grpc-status', '0'], body };
}

interface Asking {
  readonly subject?: AuthorizationSubject;
  readonly body?: KeptBody;
  readonly clock?: FakeClock;
  readonly signal?: AbortSignal;
}

async function check(
  provider: ExtensionProvider,
  reply: (asked: ServiceRequest, signal: AbortSignal) => Promise<ServiceResponse> | ServiceResponse,
  { subject = ASKED, body, clock = new FakeClock(), signal = new AbortController().signal }: Asking = {},
) {
  const asked: ServiceRequest[] = [];
  const problems: string[] = [];
  const authorizer = new ExternalAuthorizer({
    settings: () => ({ ...DEFAULT_MESH_SETTINGS, extensionProviders: new Map([['asker', provider]]) }),
    ask: async (question, stop) => {
      asked.push(question);
      return await reply(question, stop);
    },
    ownIdentity: () => 'spiffe://cluster.local/ns/shop/sa/waypoint',
    clock,
    failed: (name, problem) => void problems.push(`${name}: ${problem}`),
  });
  const verdict = await authorizer.check(CHECK, subject, body, signal);
  return { verdict, asked: asked[0], problems, authorizer };
}

const ALLOWED: ExternalVerdict = {
  kind: 'allow',
  changes: { remove: [], set: [], vouched: [] },
  query: undefined,
  responseFields: [],
};

describe('over HTTP', () => {
  test('the service gets method, host, path, authorization and the headers that are named', async () => {
    const { asked } = await check(HTTP, () => answer(200));
    expect(asked).toMatchObject({
      service: COMMON.service,
      port: 9000,
      version: '1.1',
      method: 'POST',
      authority: 'cart:80',
      path: '/check/a/b?c=d',
      fields: [
        ...['authorization', 'Bearer t', 'x-ask', '1', 'x-pre-a', '2', 'x-a-suf', '3'],
        ...['content-length', '0'],
      ],
      body: new Uint8Array(0),
    });
  });

  test('headers of the mesh’s settings stand in place of the client’s', async () => {
    const provider = { ...HTTP, includeAdditionalHeadersInCheck: [{ name: 'x-ask', value: 'ours' }] };
    const { asked } = await check(provider, () => answer(200));
    expect(asked?.fields).toEqual([
      'authorization',
      'Bearer t',
      'x-pre-a',
      '2',
      'x-a-suf',
      '3',
      'x-ask',
      'ours',
      'content-length',
      '0',
    ]);
  });

  test('200 lets it pass, with headers for the endpoint and for the client', async () => {
    const fields = [
      'x-user',
      'alice',
      'x-up-a',
      '1',
      'x-up-a',
      '2',
      'x-other',
      '3',
      'content-length',
      '0',
      'set-cookie',
      'a=b',
      'set-cookie',
      'c=d',
    ];
    expect((await check(HTTP, () => answer(200, fields))).verdict).toEqual({
      kind: 'allow',
      changes: { remove: [], set: ['x-user', 'alice', 'x-up-a', '1,2'], vouched: ['x-user', 'x-up-a'] },
      query: undefined,
      responseFields: ['set-cookie', 'a=b', 'set-cookie', 'c=d'],
    });
  });

  test('a pattern means no header that describes the answer itself; its name does', async () => {
    const fields = [
      'x-user',
      'alice',
      'content-type',
      'text/plain',
      'content-encoding',
      'gzip',
      'host',
      'evil',
    ];
    const changes = async (headersToUpstreamOnAllow: readonly string[]) => {
      const { verdict } = await check({ ...HTTP, headersToUpstreamOnAllow }, () => answer(200, fields));
      return verdict.kind === 'allow' ? verdict.changes.set : undefined;
    };
    expect(await changes(['*'])).toEqual(['x-user', 'alice']);
    expect(await changes(['content-type', 'host'])).toEqual(['content-type', 'text/plain']);
  });

  test('another answer goes to the client, all of it that is not of the connection', async () => {
    const fields = ['www-authenticate', 'Basic', 'x-a', '1', 'content-length', '4', 'connection', 'close'];
    expect((await check(HTTP, () => answer(401, fields, 'nope'))).verdict).toEqual({
      kind: 'deny',
      status: 401,
      fields: ['www-authenticate', 'Basic', 'x-a', '1'],
      body: text('nope'),
      failed: false,
    });
  });

  test('or the headers that are named, and those that every client needs', async () => {
    const provider = { ...HTTP, headersToDownstreamOnDeny: ['x-a'] };
    const fields = ['location', '/login', 'x-a', '1', 'x-b', '2'];
    expect((await check(provider, () => answer(302, fields))).verdict).toMatchObject({
      status: 302,
      fields: ['location', '/login', 'x-a', '1'],
    });
  });

  test('201 is no yes', async () => {
    expect((await check(HTTP, () => answer(201))).verdict).toMatchObject({ kind: 'deny', status: 201 });
  });
});

describe('over gRPC', () => {
  test('the service gets who asks, what for, and from whom', async () => {
    let asked: CheckRequest | undefined;
    const { asked: question } = await check(
      { ...GRPC, maxRequestBytes: 100 },
      ({ body }) => {
        asked = decodeCheckRequest(grpcMessage(body) ?? new Uint8Array(0));
        return grpcAnswer({});
      },
      { body: { bytes: text('some body'), isWhole: true } },
    );
    expect(question).toMatchObject({
      version: '2',
      method: 'POST',
      path: '/envoy.service.auth.v3.Authorization/Check',
    });
    const { source, destination, request: sent, tlsSession } = asked?.attributes ?? {};
    expect(source).toMatchObject({
      principal: 'spiffe://cluster.local/ns/web/sa/front',
      address: { socketAddress: { address: '10.1.0.7' } },
    });
    expect(destination).toMatchObject({
      principal: 'spiffe://cluster.local/ns/shop/sa/waypoint',
      address: { socketAddress: { address: '10.96.0.9', portValue: 80 } },
    });
    expect(tlsSession).toEqual({ sni: 'a.example' });
    expect(sent?.time?.getTime()).toBe(Date.UTC(2026, 0, 1));
    expect(sent?.http).toMatchObject({
      id: 'id',
      method: 'POST',
      path: '/a/b?c=d',
      query: 'c=d',
      host: 'cart:80',
      scheme: 'http',
      size: 9n,
      body: 'some body',
    });
    expect(Object.fromEntries(sent?.http?.headers ?? [])).toMatchObject({
      ':path': '/a/b?c=d',
      'x-secret': '4',
      'x-envoy-auth-partial-body': 'false',
    });
  });

  test.each([
    ['1.0', 'HTTP/1.0'],
    ['1.1', 'HTTP/1.1'],
    ['2', 'HTTP/2'],
  ] as const)('what the client spoke, HTTP of version %s', async (version, protocol) => {
    const subject = { ...ASKED, request: { ...request('/'), version } };
    const { asked } = await check(GRPC, () => grpcAnswer({}), { subject });
    const http = decodeCheckRequest(grpcMessage(asked?.body ?? new Uint8Array(0)) ?? new Uint8Array(0))
      .attributes?.request?.http;
    expect(http?.protocol).toBe(protocol);
  });

  test('headers that are named, where any are; what the protocol has fields for goes all the same', async () => {
    const { asked } = await check({ ...GRPC, includeRequestHeadersInCheck: ['x-ask'] }, () => grpcAnswer({}));
    const http = decodeCheckRequest(grpcMessage(asked?.body ?? new Uint8Array(0)) ?? new Uint8Array(0))
      .attributes?.request?.http;
    expect(Object.fromEntries(http?.headers ?? [])).toEqual({ 'x-ask': '1' });
    expect(http).toMatchObject({ method: 'POST', path: '/a/b?c=d', host: 'cart:80' });
  });

  test('the body as bytes', async () => {
    const { asked } = await check(
      { ...GRPC, maxRequestBytes: 100, packAsBytes: true },
      () => grpcAnswer({}),
      { body: { bytes: Uint8Array.of(0xff, 0), isWhole: true } },
    );
    const http = decodeCheckRequest(grpcMessage(asked?.body ?? new Uint8Array(0)) ?? new Uint8Array(0))
      .attributes?.request?.http;
    expect([http?.body, [...(http?.rawBody ?? [])]]).toEqual(['', [0xff, 0]]);
  });

  test.each<[string, Uint8Array, string, readonly number[]]>([
    ['text, to the byte', Uint8Array.of(0xef, 0xbb, 0xbf, 0x61), '\ufeffa', []],
    ['what is no text as bytes besides', Uint8Array.of(0x61, 0xff), 'a\ufffd', [0x61, 0xff]],
    ['nothing', new Uint8Array(0), '', []],
  ])('a body as text: %s', async (_, bytes, body, rawBody) => {
    const { asked } = await check({ ...GRPC, maxRequestBytes: 100 }, () => grpcAnswer({}), {
      body: { bytes, isWhole: true },
    });
    const http = decodeCheckRequest(grpcMessage(asked?.body ?? new Uint8Array(0)) ?? new Uint8Array(0))
      .attributes?.request?.http;
    expect([http?.body, [...(http?.rawBody ?? [])]]).toEqual([body, rawBody]);
  });

  test('whether the body is whole is the waypoint’s word', async () => {
    const forged = request('/', { headers: { 'x-envoy-auth-partial-body': 'false', 'x-ask': '1' } });
    const subject = { ...ASKED, request: forged };
    const { asked } = await check(GRPC, () => grpcAnswer({}), { subject });
    const http = decodeCheckRequest(grpcMessage(asked?.body ?? new Uint8Array(0)) ?? new Uint8Array(0))
      .attributes?.request?.http;
    expect([...(http?.headers.keys() ?? [])]).not.toContain('x-envoy-auth-partial-body');
    const overHttp = await check({ ...HTTP, includeRequestHeadersInCheck: ['*'] }, () => answer(200), {
      subject,
    });
    expect(overHttp.asked?.fields).not.toContain('x-envoy-auth-partial-body');
    expect(overHttp.asked?.fields).toContain('x-ask');
  });

  test('a connection that is no HTTP is asked about as well', async () => {
    const { verdict, asked } = await check(GRPC, () => grpcAnswer({}), {
      subject: { ...ASKED, request: undefined },
    });
    expect(verdict).toEqual(ALLOWED);
    expect(
      decodeCheckRequest(grpcMessage(asked?.body ?? new Uint8Array(0)) ?? new Uint8Array(0)).attributes
        ?.request?.http,
    ).toBeUndefined();
  });

  const option = (key: string, value: string, more: object = {}) => ({ header: { key, value }, ...more });

  test('yes, with changes to the request and fields for the client', async () => {
    const { verdict } = await check(GRPC, () =>
      grpcAnswer({
        dynamicMetadata: { user: 'ann', roles: ['a', 1, null] },
        httpResponse: {
          $case: 'okResponse',
          value: {
            headers: [
              option('X-Set', 'new'),
              option('x-ask', 'more', { append: true }),
              option('x-secret', 'kept', { appendAction: 1 }),
              option('x-pre-a', 'over', { appendAction: 3 }),
              option('x-none', 'never', { appendAction: 3 }),
              option('x-absent', 'added', { appendAction: 1 }),
              option(':path', '/evil'),
              option('host', 'evil'),
              option('x-bad', 'a\r\nb: c'),
            ],
            headersToRemove: ['X-Secret', ':method', 'content-length'],
            responseHeadersToAdd: [option('set-cookie', 'a=b'), option('set-cookie', 'c=d')],
            queryParametersToSet: [{ key: 'user', value: 'ann' }],
            queryParametersToRemove: ['token'],
          },
        },
      }),
    );
    expect(verdict).toEqual({
      kind: 'allow',
      changes: {
        remove: ['x-secret'],
        set: ['x-set', 'new', 'x-ask', '1,more', 'x-secret', 'kept', 'x-pre-a', 'over', 'x-absent', 'added'],
        vouched: ['x-secret', 'x-set', 'x-ask', 'x-secret', 'x-pre-a', 'x-absent'],
      },
      query: { set: [['user', 'ann']], remove: ['token'] },
      responseFields: ['set-cookie', 'a=b', 'set-cookie', 'c=d'],
      metadata: { user: 'ann', roles: ['a', 1, null] },
    });
  });

  test('no, with what the client is told', async () => {
    const { verdict } = await check(GRPC, () =>
      grpcAnswer({
        status: { code: 7 },
        dynamicMetadata: { why: 'busy' },
        httpResponse: {
          $case: 'deniedResponse',
          value: { status: { code: 429 }, headers: [option('x-why', 'busy')], body: 'slow' },
        },
      }),
    );
    expect(verdict).toEqual({
      kind: 'deny',
      status: 429,
      fields: ['x-why', 'busy'],
      body: text('slow'),
      failed: false,
      metadata: { why: 'busy' },
    });
  });

  test.each([
    ['nothing', undefined],
    ['a status that is none', { $case: 'deniedResponse' as const, value: { status: { code: 99 } } }],
    ['a yes beside it', { $case: 'okResponse' as const, value: {} }],
  ])('no, with %s, is 403', async (_, httpResponse) => {
    const { verdict } = await check(GRPC, () =>
      grpcAnswer({ status: { code: 7 }, ...(httpResponse ? { httpResponse } : {}) }),
    );
    expect(verdict).toMatchObject({ kind: 'deny', status: 403, failed: false });
  });

  const broken: Record<string, ServiceResponse> = {
    'an HTTP error': answer(503),
    'a gRPC error': { ...grpcAnswer({}), trailers: ['grpc-status', '14'] },
    'a gRPC error without trailers': answer(200, ['grpc-status', '12']),
    'no gRPC status': { ...grpcAnswer({}), trailers: undefined },
    'no message': { ...grpcAnswer({}), body: new Uint8Array(0) },
    'half a message': { ...grpcAnswer({}), body: Uint8Array.of(0, 0, 0, 0, 9, 1) },
    'a compressed message': { ...grpcAnswer({}), body: Uint8Array.of(1, 0, 0, 0, 0) },
    'bytes that are no answer': { ...grpcAnswer({}), body: grpcFrame(Uint8Array.of(0xff, 0xff)) },
  };

  test.each(Object.entries(broken))('%s is no answer', async (_, response) => {
    const { verdict, problems } = await check(GRPC, () => response);
    expect(verdict).toMatchObject({ kind: 'deny', status: 403, failed: true });
    expect(problems).toHaveLength(1);
  });
});

describe('without an answer', () => {
  const unreachable = () => Promise.reject(new Error('connection refused'));

  test('the request is refused, with the status of the mesh’s settings', async () => {
    for (const provider of [GRPC, HTTP]) {
      const { verdict, problems } = await check({ ...provider, statusOnError: 503 }, unreachable);
      expect(verdict).toMatchObject({ kind: 'deny', status: 503, failed: true });
      expect(problems).toEqual(['asker: connection refused']);
    }
  });

  test('it passes where they say so', async () => {
    expect((await check({ ...GRPC, failOpen: true }, unreachable)).verdict).toEqual(ALLOWED);
    expect((await check({ ...HTTP, failOpen: true }, () => answer(500))).verdict).toEqual(ALLOWED);
  });

  test('5xx over HTTP is none', async () => {
    expect((await check(HTTP, () => answer(500))).verdict).toMatchObject({
      kind: 'deny',
      status: 403,
      failed: true,
    });
  });

  test('one that hangs is given up after its time', async () => {
    const clock = new FakeClock();
    const stopped: boolean[] = [];
    const hanging = check(
      GRPC,
      (_, signal) =>
        new Promise((__, reject) =>
          signal.addEventListener('abort', () => {
            stopped.push(true);
            reject(signal.reason as Error);
          }),
        ),
      { clock },
    );
    await clock.advance(499);
    expect(stopped).toEqual([]);
    await clock.advance(1);
    expect((await hanging).verdict).toMatchObject({ kind: 'deny', status: 403, failed: true });
    expect((await hanging).problems).toEqual(['asker: no answer within 500 ms']);
  });

  test('a client that went is not asked about any longer', async () => {
    const gone = new AbortController();
    const asking = check(
      HTTP,
      (_, signal) =>
        new Promise((__, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
      { signal: gone.signal },
    );
    gone.abort(new Error('gone'));
    expect((await asking).verdict).toMatchObject({ kind: 'deny', failed: true });
  });

  const nobody: Record<string, ExtensionProvider> = {
    'a provider of another kind': { kind: 'prometheus' },
    'one that cannot be read': { kind: 'unusable', problem: 'x' },
  };

  test.each(Object.entries(nobody))('%s: refused, though nobody could be asked', async (_, provider) => {
    const { verdict, asked } = await check(provider, () => answer(200));
    expect([verdict, asked]).toEqual([
      { kind: 'deny', status: 403, fields: [], body: new Uint8Array(0), failed: true },
      undefined,
    ]);
  });

  test('a provider over HTTP cannot be asked about a connection that is no HTTP', async () => {
    const { verdict, asked } = await check(HTTP, () => answer(200), {
      subject: { ...ASKED, request: undefined },
    });
    expect([verdict.kind, asked]).toEqual(['deny', undefined]);
  });
});

describe('bodies', () => {
  const part = { bytes: text('some'), isWhole: false };

  test('as many bytes as the provider wants to see', async () => {
    const { authorizer } = await check({ ...GRPC, maxRequestBytes: 8_192 }, () => grpcAnswer({}));
    expect([authorizer.bodyBytes(CHECK), authorizer.bodyBytes({ provider: 'x', policies: [] })]).toEqual([
      8_192, 0,
    ]);
  });

  test('a longer one is 413, and nobody is asked', async () => {
    const { verdict, asked } = await check({ ...HTTP, maxRequestBytes: 4 }, () => answer(200), {
      body: part,
    });
    expect([verdict, asked]).toEqual([{ kind: 'too-large' }, undefined]);
  });

  test('or its beginning, where the settings say so', async () => {
    const { asked } = await check(
      { ...HTTP, maxRequestBytes: 4, allowPartialMessage: true },
      () => answer(200),
      { body: part },
    );
    expect(asked?.body).toEqual(text('some'));
    expect(asked?.fields.slice(-2)).toEqual(['x-envoy-auth-partial-body', 'true']);
  });
});

test('any answer is a verdict: 10 000 mutations', async () => {
  const good: CheckResponse = createCheckResponse({
    httpResponse: {
      $case: 'okResponse',
      value: { headers: [{ header: { key: 'x-a', value: 'b' }, append: true }], headersToRemove: ['x-b'] },
    },
  });
  const bytes = grpcFrame(encodeCheckResponse(good));
  let state = 21;
  const below = (count: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % count;
  };
  const seen = new Set<string>();
  for (let i = 0; i < 10_000; i++) {
    const body = Uint8Array.from(bytes);
    for (let flips = 1 + below(3); flips > 0; flips--) body[below(body.length)] = below(256);
    const { verdict } = await check(GRPC, () => ({ ...grpcAnswer({}), body }));
    seen.add(verdict.kind === 'deny' ? `deny ${verdict.failed}` : 'allow');
  }
  expect([...seen].sort()).toEqual(['allow', 'deny true']);
});

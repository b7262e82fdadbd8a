import { describe, expect, test } from '@jest/globals';
import type { ExtensionProvider } from '../../resources/mesh-settings.ts';
import { connectionRecord, CONTEXT, grpcRecord, planOf, requestRecord } from '../testing/records.ts';
import type { AnyRecord } from '../expression/attributes.ts';
import { compileTextFormat } from './render.ts';

/** What is written of a record, to both outputs. */
function linesOf(plan: ReturnType<typeof planOf>, record: AnyRecord): readonly string[] {
  return plan.logs.filter(({ filter }) => !filter || filter(record) === true).map(({ line }) => line(record));
}

function text(format: string, record: AnyRecord = requestRecord()): string {
  return compileTextFormat(format, CONTEXT).line(record).trimEnd();
}

const FILE = { accessLogFile: '/dev/stdout' };

describe('the default formats', () => {
  test('text, of a request', () => {
    expect(linesOf(planOf([], FILE), requestRecord())).toEqual([
      '[2024-01-31T12:00:00.123Z] "GET /old/1?q=2 HTTP/1.1" 200 - via_upstream - "-" 0 1000 12 8 "10.0.0.1" "curl/8" ' +
        '"abc" "server" "10.0.0.2:8080" inbound-vip|80|http|server.store.svc.cluster.local 10.0.0.9:40000 ' +
        '10.96.0.5:80 10.0.0.1:5000 - HTTPRoute/store/split\n',
    ]);
  });

  test('text, of a request that nobody answered', () => {
    const record = requestRecord({
      sent: undefined,
      destination: undefined,
      status: 503,
      flags: 'UF,URX',
      details: 'upstream_reset_before_response_started{connection failure}',
      transportFailure: 'delayed connect error: 111',
      upstreamMs: undefined,
      responseStartMs: undefined,
      routeName: '',
    });
    expect(linesOf(planOf([], FILE), record)).toEqual([
      '[2024-01-31T12:00:00.123Z] "GET /old/1?q=2 HTTP/1.1" 503 UF,URX ' +
        'upstream_reset_before_response_started{connection_failure} - "delayed_connect_error:_111" 0 1000 12 - ' +
        '"10.0.0.1" "curl/8" "abc" "server" "10.0.0.2:8080" inbound-vip|80|http|server.store.svc.cluster.local ' +
        '10.0.0.9:40000 10.96.0.5:80 10.0.0.1:5000 - -\n',
    ]);
  });

  test('text, of a connection', () => {
    expect(linesOf(planOf([], FILE), connectionRecord({ serverName: 'db.example' }))).toEqual([
      '[2024-01-31T12:00:00.123Z] "- - -" 0 - via_upstream - "-" 11 22 12 - "-" "-" "-" "-" "10.0.0.2:8080" ' +
        'inbound-vip|80|tcp|server.store.svc.cluster.local 10.0.0.9:40000 10.96.0.5:80 10.0.0.1:5000 db.example ' +
        'HTTPRoute/store/split\n',
    ]);
  });

  test('JSON keeps types, and names what is missing', () => {
    const [line = ''] = linesOf(planOf([], { ...FILE, accessLogEncoding: 'JSON' }), requestRecord());
    expect(line.endsWith('}\n')).toBe(true);
    expect(JSON.parse(line)).toEqual({
      start_time: '2024-01-31T12:00:00.123Z',
      route_name: 'HTTPRoute/store/split',
      method: 'GET',
      path: '/old/1?q=2',
      protocol: 'HTTP/1.1',
      response_code: 200,
      response_flags: '-',
      response_code_details: 'via_upstream',
      connection_termination_details: null,
      bytes_received: 0,
      bytes_sent: 1000,
      duration: 12,
      upstream_service_time: '8',
      x_forwarded_for: '10.0.0.1',
      user_agent: 'curl/8',
      request_id: 'abc',
      authority: 'server',
      upstream_host: '10.0.0.2:8080',
      upstream_cluster: 'inbound-vip|80|http|server.store.svc.cluster.local',
      upstream_local_address: '10.0.0.9:40000',
      downstream_local_address: '10.96.0.5:80',
      downstream_remote_address: '10.0.0.1:5000',
      requested_server_name: null,
      upstream_transport_failure_reason: null,
    });
  });
});

describe('operators', () => {
  const cases: Record<string, string> = {
    '%%': '%',
    '100%': '100%',
    '%REQ(:PATH)%': '/new/1?q=2',
    '%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH)%': '/old/1',
    '%REQ(X-NONE?USER-AGENT):4%': 'curl',
    '%REQ(X-NONE)%': '-',
    '%RESP(:STATUS)%': '200',
    '%RESP(content-type)%': 'text/plain',
    '%START_TIME(%Y/%m/%dT%H:%M:%S%z %s)%': '2024/01/31T12:00:00+0000 1706702400',
    '%START_TIME(%H:%M:%E3S %6f %b %j %%)%': '12:00:00.123 123000 Jan 031 %',
    '%EMIT_TIME%': '2024-01-31T12:00:00.135Z',
    '%RESPONSE_FLAGS_LONG%': '-',
    '%REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%': '1 10 3',
    '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%': '10.0.0.1 8080',
    '%DOWNSTREAM_PEER_URI_SAN%': 'spiffe://cluster.local/ns/shop/sa/client',
    '%UPSTREAM_PEER_URI_SAN%': 'spiffe://cluster.local/ns/store/sa/server',
    '%UPSTREAM_REQUEST_ATTEMPT_COUNT%': '1',
    '%CONNECTION_ID%': '7',
    '%HOSTNAME% %ENVIRONMENT(REGION)% %ENVIRONMENT(NONE)%': 'waypoint-z north -',
    '%CEL(request.headers["user-agent"] + "%")%': 'curl/8%',
    '%FILTER_STATE(downstream_peer:FIELD:workload)%': 'client-v1',
    '%GRPC_STATUS%': '-',
    '%TRACE_ID%': '-',
    '%NO_SUCH_THING%': '-',
    'a %REQ(': 'a %REQ(',
  };
  test.each(Object.entries(cases))('%j', (format, want) => expect(text(format)).toBe(want));

  test('what services that authorize told', () => {
    const namespace = 'envoy.filters.http.ext_authz';
    const authorizerMetadata = { user: 'alice', score: 7, ok: true, more: { team: 'a"b', list: [1] } };
    const told = requestRecord({ authorizerMetadata });
    const values: Readonly<Record<string, string>> = {
      '': '{"user":"alice","score":7,"ok":true,"more":{"team":"a\\"b","list":[1]}}',
      ':user': 'alice',
      ':score': '7',
      ':ok': 'true',
      ':more': '{"team":"a\\"b","list":[1]}',
      ':more:team': 'a"b',
      ':more:list': '[1]',
      ':more:list:0': '-',
      ':user:length': '-',
      ':none': '-',
      ':toString': '-',
    };
    for (const [path, want] of Object.entries(values))
      expect([path, text(`%DYNAMIC_METADATA(${namespace}${path})%`, told)]).toEqual([path, want]);
    expect(text(`%DYNAMIC_METADATA(${namespace}:user):2%`, told)).toBe('al');
    expect(text(`%DYNAMIC_METADATA(${namespace}:user)%`)).toBe('-');
    expect(compileTextFormat('%DYNAMIC_METADATA(a:b)%', CONTEXT).problems).toEqual([
      '%DYNAMIC_METADATA(a:b)% is not known to a waypoint',
    ]);
  });

  test('of gRPC', () => {
    const record = grpcRecord({ trailers: ['grpc-status', '5', 'x-t', 'y'] });
    expect(
      text('%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER% %TRAILER(X-T)%', record),
    ).toBe('NotFound NOT_FOUND 5 y');
    expect(text('%GRPC_STATUS%', grpcRecord({ trailers: undefined, status: 503 }))).toBe('Unavailable');
    expect(text('%GRPC_STATUS%', grpcRecord({ trailers: ['grpc-status', 'x'] }))).toBe('Unknown');
  });

  test('a value never breaks its line, and octets are UTF-8', () => {
    const hostile = connectionRecord({ serverName: 'a\r\n\u001b[2J"b' });
    expect(text('%REQUESTED_SERVER_NAME%', hostile)).toBe('a\\x0d\\x0a\\x1b[2J"b');
    const octets = Buffer.from('Jürgen', 'utf8').toString('latin1');
    const record = requestRecord({ responseFields: ['x-name', octets, 'x-long', 'y'.repeat(20_000)] });
    expect(text('%RESP(X-NAME)%', record)).toBe('Jürgen');
    expect(text('%RESP(X-LONG)%', record)).toHaveLength(8_192);
  });

  test('what is not known is said once for each place', () => {
    const { problems } = compileTextFormat('%NO_SUCH% %REQ(x)% %METADATA(a:b)% %CEL(1 +)% %x%', CONTEXT);
    expect(problems).toEqual([
      'no operator can be read at: %x%\n',
      '%NO_SUCH% is not known to a waypoint',
      '%METADATA(a:b)% is not known to a waypoint',
      '1 +: the end is not expected',
    ]);
    const many = compileTextFormat('%PROTOCOL%'.repeat(300), CONTEXT);
    expect(many.problems).toEqual(['more than 256 operators']);
    expect(compileTextFormat('x'.repeat(20_000), CONTEXT).problems).toEqual([
      'format longer than 16384 characters',
    ]);
  });
});

describe('which logs are written', () => {
  const file = (text: string) =>
    ({ kind: 'file-access-log', path: '/dev/stdout', text, json: new Map() }) as const;
  const extensionProviders = new Map<string, ExtensionProvider>([
    ['short', file('%RESPONSE_CODE%')],
    ['long', file('code=%RESPONSE_CODE%')],
    ['prom', { kind: 'prometheus' } as const],
  ]);
  const settings = { extensionProviders, accessLogFormat: 'envoy %RESPONSE_CODE%' };
  const rule = { mode: 'CLIENT_AND_SERVER', providers: [], disabled: undefined, filter: '' } as const;
  const written = (
    rules: readonly (readonly object[])[],
    over: object = {},
    record: AnyRecord = requestRecord({ status: 500 }),
  ) => {
    const telemetry = rules.map((one) => ({ accessLogging: one.map((part) => ({ ...rule, ...part })) }));
    return linesOf(planOf(telemetry, { ...settings, ...over }), record);
  };

  test('none without anybody who asks', () => expect(written([])).toEqual([]));
  test('what settings say', () =>
    expect(written([], { accessLogFile: '/dev/stdout' })).toEqual(['envoy 500\n']));
  test('default providers', () =>
    expect(written([], { defaultAccessLogProviders: ['envoy', 'long'] })).toEqual([
      'envoy 500\n',
      'code=500\n',
    ]));
  test('a rule without provider is for the default ones', () =>
    expect(written([[{}]], { defaultAccessLogProviders: ['short'] })).toEqual(['500\n']));
  test('the nearest that names a provider decides which', () =>
    expect(written([[{ providers: ['short'] }], [{ providers: ['long', 'envoy'] }]])).toEqual(['500\n']));
  test('a nearer rule turns it off', () =>
    expect(written([[{ disabled: true }], [{ providers: ['short'] }]])).toEqual([]));
  test('for clients alone it is not for us', () =>
    expect(written([[{ providers: ['short'], mode: 'CLIENT' }]])).toEqual([]));
  test('only what passes the filter', () => {
    const filtered = [[{ providers: ['short'], filter: 'response.code >= 400' }]];
    expect(written(filtered)).toEqual(['500\n']);
    expect(written(filtered, {}, requestRecord())).toEqual([]);
    expect(written(filtered, {}, connectionRecord())).toEqual([]);
  });

  test('what cannot be used is said, and the rest is done', () => {
    const { logs, problems } = planOf(
      [
        {
          accessLogging: [
            { ...rule, providers: ['prom', 'none', 'odd'] },
            { ...rule, providers: ['short'], filter: 'nobody.knows' },
          ],
        },
      ],
      { extensionProviders: new Map([...extensionProviders, ['odd', { ...file('x'), path: '/var/log/x' }]]) },
    );
    expect(logs).toHaveLength(2);
    expect(problems).toEqual([
      "access log provider prom writes no file, or is not in the mesh's settings",
      "access log provider none writes no file, or is not in the mesh's settings",
      'access log: /var/log/x is no output of a waypoint: lines go to its standard output',
      'access log filter nobody.knows: nobody.knows is not known here: every line is written',
    ]);
    const json = planOf([], {
      accessLogFile: '/dev/stdout',
      accessLogEncoding: 'JSON',
      accessLogFormat: '[1]',
    });
    expect(json.problems).toEqual([
      'access log: accessLogFormat is not an object of texts in JSON: Istio’s is used',
    ]);
    const own = {
      accessLogFile: '/dev/stderr',
      accessLogEncoding: 'JSON',
      accessLogFormat: '{"c":"%RESPONSE_CODE%","t":"x %PROTOCOL%"}',
    } as const;
    expect(planOf([], own).logs).toMatchObject([{ output: 'stderr' }]);
    expect(linesOf(planOf([], own), requestRecord())).toEqual(['{"c":200,"t":"x HTTP/1.1"}\n']);
  });
});

test('any format becomes a line or is said to be none: 10 000 mutations', () => {
  const seeds = ['[%START_TIME(%Y%E3S)%] "%REQ(A?:B):10%" %%', '%CEL(a == ")%")% %TRAILER(x)% %B'];
  let state = 5;
  const below = (count: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % count;
  };
  const chars = '%():?AZaz09_ "';
  for (let i = 0; i < 10_000; i++) {
    const format = (seeds[i % seeds.length] ?? '').split('');
    for (let edits = below(5); edits >= 0; edits--)
      format.splice(below(format.length + 1), below(3), chars[below(chars.length)] ?? '');
    const { line } = compileTextFormat(format.join(''), CONTEXT);
    expect(line(requestRecord()).indexOf('\n')).toBe(line(requestRecord()).length - 1);
  }
});

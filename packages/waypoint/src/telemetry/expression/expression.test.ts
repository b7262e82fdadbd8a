import { describe, expect, test } from '@jest/globals';
import { connectionRecord, CONTEXT, grpcRecord, requestRecord } from '../testing/records.ts';
import { type AnyRecord, recordAttributes } from './attributes.ts';
import { compileExpression, type Value } from '@ambit/model/expression/compile';
import {
  expressionProblem,
  NAMES_OF_ANY,
  NAMES_OF_PARTY,
  NAMES_OF_REQUEST,
} from '@ambit/model/expression/names';

const attributes = recordAttributes(CONTEXT.local);

function evaluated(
  source: string,
  record: AnyRecord = requestRecord(),
): Value | { readonly problem: string } {
  const compiled = compileExpression(source, attributes);
  switch (compiled.kind) {
    case 'constant':
      return compiled.value;
    case 'expression':
      return compiled.evaluate(record);
    case 'problem':
      return { problem: compiled.problem };
  }
}

test('what the control plane takes for a name is one here, and nothing else', () => {
  const names = [
    ...NAMES_OF_ANY,
    ...NAMES_OF_REQUEST,
    ...NAMES_OF_PARTY.map((name) => `filter_state.downstream_peer.${name}`),
    'request.headers.a',
    'response.headers.a',
    'response.trailers.a',
    'node.id',
    'node.cluster',
    'node.metadata.a',
  ];
  const others = [
    'request.a',
    'node.a',
    'filter_state.downstream_peer.a',
    'response.body',
    'a.b',
    'upstream.a',
  ];
  for (const name of [...names, ...others])
    expect([name, compileExpression(name, attributes).kind === 'problem']).toEqual([
      name,
      expressionProblem(name) !== undefined,
    ]);
  expect(others.map(expressionProblem)).not.toContain(undefined);
});

describe('values', () => {
  const cases: Record<string, Value> = {
    "'test'": 'test',
    '"a\\n\\x41\\u00e9\\101"': 'a\nAéA',
    "r'a\\d'": 'a\\d',
    "'''it's'''": "it's",
    '1 + 2 * 3': 7,
    '-(7 / 2)': -3,
    '7.5 / 2 == 3.75 ? "y" : "n"': 'y',
    '1 / 0': undefined,
    '0x1F % 7u': 3,
    "'a' + 'b'": 'ab',
    "'a' + 1": undefined,
    "'a' in ['a', 'b',]": true,
    '[1, 2] == [1, 2] && [1] != [2]': true,
    'false && missing == 1': { problem: 'missing is not known here' } as never,
    "'x' < 'y' && 2 <= 2 && !(3 > 4)": true,
    "size('four') == size([1, 2, 3, 4])": true,
    "int('42') + int(1.9)": 43,
    'string(1.5) + string(true)': '1.5true',
    "duration('1m30s')": 90_000,
    "'/api/v1'.startsWith('/api') && 'x.png'.endsWith('.png') && 'abc'.contains('b')": true,
    "'order-123'.matches('[0-9]+')": true,
    "'order'.matches('^[0-9]+$')": false,
    "'AB'.lowerAscii()": 'ab',
    'true ? 1 : 2 // a remark': 1,
  };
  test.each(Object.entries(cases))('%s', (source, want) => expect(evaluated(source)).toEqual(want));
});

describe('what a request is', () => {
  const cases: Record<string, Value> = {
    'request.method': 'GET',
    'request.path': '/new/1?q=2',
    'request.url_path': '/new/1',
    'request.query': 'q=2',
    'request.host': 'server',
    'request.protocol': 'HTTP/1.1',
    'request.headers["User-Agent"]': 'curl/8',
    "request.headers[':authority']": 'server',
    'request.headers["x-none"]': undefined,
    'has(request.headers["x-none"])': false,
    'request.total_size': 120,
    'response.code': 200,
    'response.code >= 400 || request.duration > 10': true,
    'response.flags': 0,
    'response.headers["content-type"]': 'text/plain',
    'response.trailers["x"]': undefined,
    'connection.mtls': true,
    'source.address': '10.0.0.1:5000',
    'source.port': 5000,
    'upstream.port': 8080,
    'xds.cluster_name': 'inbound-vip|80|http|server.store.svc.cluster.local',
    'filter_state.downstream_peer.workload': 'client-v1',
    "filter_state['upstream_peer'].principal": 'spiffe://cluster.local/ns/store/sa/server',
    "node.metadata['CLUSTER_ID']": 'Kubernetes',
    'node.metadata.OTHER': undefined,
    'response.grpc_status': undefined,
  };
  test.each(Object.entries(cases))('%s', (source, want) => expect(evaluated(source)).toEqual(want));

  test('gRPC, flags, and a connection, which has no request', () => {
    expect(evaluated('response.grpc_status == 0', grpcRecord())).toBe(true);
    expect(evaluated('response.flags', requestRecord({ flags: 'UF,URX' }))).toBe(32 + 32768);
    expect(evaluated('response.code', requestRecord({ status: 0 }))).toBeUndefined();
    expect(evaluated('request.method == "GET"', connectionRecord())).toBeUndefined();
    expect(evaluated('connection.id == 7 && destination.port == 80', connectionRecord())).toBe(true);
  });

  test('what is missing stays missing, except where it does not matter', () => {
    const missing = "request.headers['x'] == 'y'";
    expect(evaluated(`!(${missing})`)).toBeUndefined();
    expect(evaluated(`${missing} || true`)).toBe(true);
    expect(evaluated(`false && ${missing}`)).toBe(false);
    expect(evaluated(`${missing} && true`)).toBeUndefined();
    expect(evaluated(`${missing} ? 1 : 2`)).toBeUndefined();
  });
});

describe('what is no expression is said', () => {
  const cases: Record<string, string> = {
    '': 'the end is not expected',
    '1 +': 'the end is not expected',
    '(1': ') is expected before the end',
    "'open": 'the text that begins at character 1 does not end',
    "'\\q'": 'character 2 begins no escape',
    "'\\ud800'": 'character 2 begins no escape',
    '1 2': '2 is not expected',
    'a # b': 'character 3 is no part of an expression',
    'request.nothing': 'request.nothing is not known here',
    'request.headers[request.path]': 'fields are taken of names alone, and by keys that are written out',
    'request.__proto__': 'request.__proto__ is not known here',
    constructor: 'constructor is not known here',
    "toString('a')": 'toString with 1 values is not known here',
    "'a'.matches('(')": expect.stringContaining('regex') as never,
    "'a'.matches(request.path)": 'matches takes a pattern that is written out',
    [`${'('.repeat(40)}1${')'.repeat(40)}`]: 'nested deeper than 32',
    [`${'!'.repeat(40)}true`]: 'nested deeper than 32',
    [`1${' + 1'.repeat(600)}`]: 'more than 512 parts',
    [' '.repeat(5_000)]: 'longer than 4096 characters',
  };
  test.each(Object.entries(cases))('%s', (source, problem) => expect(evaluated(source)).toEqual({ problem }));
});

test('any text is a value or a problem, never an exception: 20 000 mutations', () => {
  const seeds = [
    'request.headers["x-a"].startsWith("b") && response.code >= 400',
    "size([1, 2u, 'a\\x41']) % 3 == 0 ? duration('1s') : -1.5e3",
    'filter_state.downstream_peer.workload in ["a", r\'b\'] || has(request.id)',
  ];
  const chars = '"\'\\()[]{}?:.,+-*/%!=<>&| \n09aAxu_rin\u00e9';
  let state = 11;
  const below = (count: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % count;
  };
  const kinds = new Set<string>();
  const record = requestRecord();
  for (let i = 0; i < 20_000; i++) {
    const text = (seeds[i % seeds.length] ?? '').split('');
    for (let edits = below(4); edits >= 0; edits--)
      text.splice(below(text.length + 1), below(3), chars[below(chars.length)] ?? '');
    const compiled = compileExpression(text.join(''), attributes);
    kinds.add(compiled.kind);
    if (compiled.kind === 'expression') compiled.evaluate(record);
  }
  expect([...kinds].sort()).toEqual(['constant', 'expression', 'problem']);
});

import { describe, expect, test } from '@jest/globals';
import { validateTelemetry } from './telemetry.ts';

const warningsOf = (spec: object) => {
  const { errors, refusals, warnings } = validateTelemetry({ metadata: { name: 't' }, spec });
  expect([errors, refusals]).toEqual([[], []]);
  return warnings;
};
const tag = (value: string, name = 'a') => ({
  metrics: [{ overrides: [{ tagOverrides: { [name]: { value } } }] }],
});
const filter = (expression: string) => ({ accessLogging: [{ filter: { expression } }] });

describe('what a waypoint can evaluate', () => {
  test.each([
    ['a constant', tag("'x'")],
    ['the host', tag('request.host')],
    ['a header', tag("request.headers['x-user']")],
    ['a choice', tag("has(request.headers['x']) ? request.headers['x'] : 'none'")],
    ['a peer', tag('filter_state.downstream_peer.namespace')],
    ['of itself', tag("node.metadata['CLUSTER_ID']")],
    ['a removal', { metrics: [{ overrides: [{ tagOverrides: { a: { operation: 'REMOVE' } } }] }] }],
    ['a filter', filter('response.code >= 400 || connection.mtls == false')],
    [
      'a standard metric by its own name',
      { metrics: [{ overrides: [{ match: { customMetric: 'REQUEST_COUNT' } }] }] },
    ],
  ])('%s: no warning', (_, spec) => {
    expect(warningsOf(spec)).toEqual([]);
  });
});

describe('what no waypoint can do is told', () => {
  const at = 'spec.metrics[0].overrides[0]';
  test.each<[string, object, string]>([
    [
      'a name that stands for nothing',
      tag('request.hots'),
      `${at}.tagOverrides.a: cannot be evaluated, so it changes nothing: `,
    ],
    [
      'a field of a peer that there is not',
      tag('filter_state.upstream_peer.labels'),
      `${at}.tagOverrides.a: cannot be evaluated, so it changes nothing: `,
    ],
    [
      'a function of CEL that is not there',
      tag("request.path.replace('a', 'b')"),
      `${at}.tagOverrides.a: cannot be evaluated, so it changes nothing: `,
    ],
    [
      'what is no expression',
      tag('(('),
      `${at}.tagOverrides.a: cannot be evaluated, so it changes nothing: `,
    ],
    [
      'no name of a label',
      tag("'x'", 'a-b'),
      `${at}.tagOverrides.a-b: cannot be evaluated, so it changes nothing: is no name of a label`,
    ],
    [
      'a filter that cannot be read',
      filter('request.nothing == 1'),
      'spec.accessLogging[0].filter.expression: cannot be evaluated, so every line passes: ',
    ],
    [
      'a custom metric',
      { metrics: [{ overrides: [{ match: { customMetric: 'my_requests' } }] }] },
      `${at}.match.customMetric: no waypoint makes a metric my_requests; nothing is done about it`,
    ],
  ])('%s', (_, spec, warning) => {
    expect(warningsOf(spec)).toEqual([expect.stringContaining(warning)]);
  });
});

import { describe, expect, test } from '@jest/globals';
import { MAX_MESH_CONFIG_CHARS } from '../limits.ts';
import { readMeshConfig } from './read.ts';
import { discovers, entryVisibility } from './select.ts';

describe('readMeshConfig', () => {
  test('what is implemented, beside what is Istio’s alone', () => {
    const text = `
trustDomain: td
defaultConfig: {discoveryAddress: "istiod:15012", proxyMetadata: {A: b}}
accessLogFile: /dev/stdout
discoverySelectors:
- matchLabels: {mesh: "yes"}
- matchExpressions: [{key: env, operator: In, values: [prod]}]
serviceEntryVisibility:
  defaultVisibility: NAMESPACE
  later: 1
  policies: [{visibility: PUBLIC, matchingRules: [{namespaceSelector: {matchLabels: {a: b}}}, {hostnameSuffix: x}]}]
`;
    const { trustDomain, discoverySelectors, serviceEntryVisibility } = readMeshConfig(text);
    expect([trustDomain, discoverySelectors?.length, serviceEntryVisibility?.defaultVisibility]).toEqual([
      'td',
      2,
      'NAMESPACE',
    ]);
  });

  test.each([
    ['nothing', ''],
    ['comments alone', '# nothing\n'],
    ['an empty map', '{}'],
  ])('%s: the defaults', (_, text) => expect(readMeshConfig(text)).toEqual({}));

  test.each([
    ['no YAML', '{', /Flow map|expected/i],
    ['a list', '[]', /mesh: must be an object/],
    ['a text where a list is due', 'discoverySelectors: all', /mesh\.discoverySelectors: must be a list/],
    [
      'an operator that does not exist',
      'discoverySelectors: [{matchExpressions: [{key: a, operator: Like, values: [b]}]}]',
      /matchExpressions\[0\]\.operator: must be one of/,
    ],
    [
      'a misspelt field of a selector, which would select everything',
      'discoverySelectors: [{matchLabel: {a: b}}]',
      /matchLabel: is not a known field/,
    ],
    [
      'In without values',
      'discoverySelectors: [{matchExpressions: [{key: a, operator: In}]}]',
      /a In: needs values/,
    ],
    [
      'Exists with values',
      'serviceEntryVisibility: {policies: [{matchingRules: [{namespaceSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}]}]}',
      /a Exists: takes no values/,
    ],
    ['an unknown visibility', 'serviceEntryVisibility: {defaultVisibility: SECRET}', /must be one of/],
    [
      'shares and failover at once',
      'localityLbSetting: {distribute: [{from: a}], failover: [{from: a, to: b}]}',
      /mesh\.localityLbSetting: only one of distribute and failover/,
    ],
    ['too long a text', `a: ${'x'.repeat(MAX_MESH_CONFIG_CHARS)}`, /longer than/],
  ])('%s is refused', (_, text, message) => expect(() => readMeshConfig(text)).toThrow(message));
});

describe('discovers', () => {
  const selectors =
    'discoverySelectors: [{matchLabels: {mesh: "yes"}}, {matchExpressions: [{key: env, operator: In, values: [prod]}]}]';
  test.each([
    ['everything without selectors', '', {}, true],
    ['what the first accepts', selectors, { mesh: 'yes' }, true],
    ['what the second accepts', selectors, { env: 'prod' }, true],
    ['not what none accepts', selectors, { env: 'test' }, false],
    ['not what has no labels', selectors, undefined, false],
    ['everything with a selector that is empty', 'discoverySelectors: [{}]', undefined, true],
  ])('%s', (_, text, labels, want) => expect(discovers(readMeshConfig(text), labels)).toBe(want));
});

describe('entryVisibility', () => {
  const config = readMeshConfig(`
serviceEntryVisibility:
  defaultVisibility: NONE
  policies:
  - {visibility: PUBLIC, matchingRules: [{namespaceSelector: {matchLabels: {a: "1"}}}, {namespaceSelector: {matchLabels: {b: "1"}}}]}
  - {visibility: NAMESPACE, matchingRules: [{namespaceSelector: {matchLabels: {a: "1"}}}]}
  - {visibility: PUBLIC, matchingRules: [{hostnameSuffix: com}]}
  - {matchingRules: [{namespaceSelector: {matchLabels: {c: "1"}}}]}
`);
  test.each([
    ['all rules of a policy', { a: '1', b: '1' }, 'PUBLIC'],
    ['the first policy that matches', { a: '1' }, 'NAMESPACE'],
    ['a policy that says nothing', { c: '1' }, 'PUBLIC'],
    ['the default', { d: '1' }, 'NONE'],
    ['the default for what has no labels', undefined, 'NONE'],
  ])('%s', (_, labels, want) => expect(entryVisibility(config, labels)).toBe(want));

  test('without settings, everybody sees everything', () => {
    expect([entryVisibility(undefined, undefined), entryVisibility({}, {})]).toEqual(['PUBLIC', 'PUBLIC']);
  });
  test('a policy without rules matches everything', () => {
    const all = readMeshConfig('serviceEntryVisibility: {policies: [{visibility: NONE}]}');
    expect(entryVisibility(all, undefined)).toBe('NONE');
  });
});

import { describe, expect, test } from '@jest/globals';
import { ResourceRegistry } from '../kinds/registry.ts';
import { matchesFields, parseFieldSelector } from './fields.ts';
import { labelSelectorOf, matchesLabels, parseLabelSelector } from './labels.ts';

const labels = { app: 'web', tier: '2', 'example.com/x': '' };

describe('label selectors', () => {
  test.each([
    ['', true],
    ['app=web', true],
    ['app==web', true],
    ['app = web , tier=2', true],
    ['app!=web', false],
    ['other!=web', true],
    ['app in (api, web)', true],
    ['app notin (api)', true],
    ['other notin (api)', true],
    ['app', true],
    ['!app', false],
    ['!other', true],
    ['other', false],
    ['tier>1', true],
    ['tier<2', false],
    ['example.com/x=', true],
    ['example.com/x,app in (web),tier notin (3,4)', true],
  ])('%s → %s', (text, want) => expect(matchesLabels(parseLabelSelector(text), labels)).toBe(want));

  test.each(['a b', 'a=b c', '=x', 'a in b', 'a>x', 'A_/b', 'a=b,,c', 'a in (b', '-a'])(
    '%s cannot be read',
    (text) => expect(() => parseLabelSelector(text)).toThrow(/unable to parse requirement/),
  );

  test('matchLabels and matchExpressions must all hold; none at all holds always', () => {
    const selector = (source: Parameters<typeof labelSelectorOf>[0]) =>
      matchesLabels(labelSelectorOf(source), labels);
    expect(selector({})).toBe(true);
    expect(
      selector({
        matchLabels: { app: 'web' },
        matchExpressions: [{ key: 'tier', operator: 'In', values: ['2'] }],
      }),
    ).toBe(true);
    expect(selector({ matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' }] })).toBe(false);
    expect(() => selector({ matchExpressions: [{ key: 'tier', operator: 'Near' }] })).toThrow(/Near/);
  });
});

describe('field selectors', () => {
  const pods = new ResourceRegistry().get('', 'v1', 'pods');
  if (!pods) throw new Error('no pods');
  const pod = { metadata: { name: 'a' }, spec: { nodeName: 'n1' }, status: { phase: 'Running' } };
  test.each([
    ['spec.nodeName=n1', true],
    ['spec.nodeName!=n1', false],
    ['metadata.name=a,status.phase=Running', true],
    ['metadata.name=b', false],
    ['spec.nodeName=', false],
    ['spec.hostNetwork=false', true],
    ['', true],
  ])('%s → %s', (text, want) => expect(matchesFields(parseFieldSelector(text, pods), pod)).toBe(want));

  test('a field that the kind has no index for is refused', () =>
    expect(() => parseFieldSelector('spec.dnsPolicy=x', pods)).toThrow(
      'field label not supported: spec.dnsPolicy',
    ));
  test('what is no term is refused', () =>
    expect(() => parseFieldSelector('a', pods)).toThrow(/invalid selector/));
});

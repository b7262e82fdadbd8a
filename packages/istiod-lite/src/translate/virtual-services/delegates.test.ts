import { describe, expect, test } from '@jest/globals';
import type { VirtualService, VirtualServiceHttpRoute } from '@ambit/kube/resources/networking';
import { MAX_DELEGATED_CHARS, MAX_PATTERN_CHARS } from '../../limits.ts';
import { Delegates } from './delegates.ts';

const route = [{ destination: { host: 'cart' } }];

function setUp(http: readonly VirtualServiceHttpRoute[], root: readonly VirtualServiceHttpRoute[] = []) {
  const looked: string[] = [];
  const delegates = new Delegates(
    'shop',
    { hosts: ['cart'], http: root },
    (key): VirtualService | undefined => {
      looked.push(key);
      return key === 'shop/part'
        ? { metadata: { namespace: 'shop', name: 'part' }, spec: { http } }
        : undefined;
    },
  );
  const take = (own: VirtualServiceHttpRoute = {}) => {
    const taken = delegates.of(own, { name: 'part' });
    return 'problem' in taken ? taken.problem : taken.http.length;
  };
  return { delegates, take, looked };
}

describe('what a VirtualService delegates to', () => {
  test('is looked at once, whether or not it is there', () => {
    const { delegates, take, looked } = setUp([{ route }]);
    expect([take(), take()]).toEqual([1, 1]);
    for (let i = 0; i < 2; i++)
      expect(delegates.of({}, { name: 'x', namespace: 'y' })).toEqual({
        problem: 'delegate y/x was not found',
      });
    expect(looked).toEqual(['shop/part', 'y/x']);
  });

  test('comes to so much in all, however often it is repeated', () => {
    const body = 'x'.repeat(MAX_DELEGATED_CHARS / 16);
    const { take } = setUp([{ directResponse: { status: 200, body: { string: body } } }]);
    const taken = Array.from({ length: 20 }, () => take());
    expect(taken.filter((one) => one === 1)).toHaveLength(15);
    expect(taken.at(-1)).toBe(
      `delegate shop/part brings what is delegated to more than ${MAX_DELEGATED_CHARS} characters in all`,
    );
  });

  test('counts once for every match that leads there, and so does what the root says for every one there', () => {
    const match = Array.from({ length: 5_000 }, () => ({ uri: { prefix: '/a' } }));
    expect(setUp([{ match, route }]).take({ match: match.slice(0, 1) })).toBe(1);
    expect(setUp([{ match, route }]).take({ match })).toMatch('brings what is delegated to more');
  });

  test.each([
    ['of the delegate, as often as it is delegated to', 16, 0, 15],
    ['of the root as well', 16, 8, 7],
  ])('has so many regular expressions in all: %s', (_, parts, ofRoot, want) => {
    const matching = (share: number): VirtualServiceHttpRoute => ({
      match: Array.from({ length: share }, () => ({
        uri: { regex: 'x'.repeat(MAX_PATTERN_CHARS / parts / 8) },
      })),
      route,
    });
    const { take } = setUp([matching(8)], ofRoot === 0 ? [] : [matching(8 * ofRoot)]);
    const taken = Array.from({ length: 20 }, () => take());
    expect(taken.filter((one) => one === 1)).toHaveLength(want + 1);
    expect(taken.at(-1)).toMatch(`brings regular expressions to more than ${MAX_PATTERN_CHARS} characters`);
  });

  test('that is invalid is told in few words, since that is told of every route', () => {
    const { take } = setUp([{ redirect: { uri: `é${'x'.repeat(10_000)}` } }]);
    expect(take()).toMatch(/^delegate shop\/part is invalid: spec.http\[0\]/);
    expect(take()).toHaveLength('delegate shop/part '.length + 250);
  });
});

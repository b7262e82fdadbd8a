import { expect, test } from '@jest/globals';
import type { TcpConnection, TcpListing } from '@ambit/linux/sock-diag';
import { cutListed } from './enrolment.ts';
import { MAX_CUT_LISTINGS } from './limits.ts';

const connection = {} as TcpConnection;

/** Of listings one after the other, the last for ever. */
function cut(listings: readonly TcpListing[], destroy: () => boolean = () => true) {
  let listed = 0;
  const count = cutListed(() => {
    const listing = listings[Math.min(listed, listings.length - 1)];
    listed += 1;
    if (listed > 1_000 || !listing) throw new Error('no end');
    return listing;
  }, destroy);
  return { count, listed };
}

const some = (count: number, isAll: boolean) => ({ connections: Array(count).fill(connection), isAll });

test.each([
  ['what one listing holds', [some(2, true)], { count: 2, listed: 1 }],
  ['what one has no room for', [some(2, false), some(1, true)], { count: 3, listed: 2 }],
  ['nothing, where none that is listed is the proxy’s', [some(0, false)], { count: 0, listed: 1 }],
  [
    'of a pod that opens one for each, no more than that',
    [some(1, false)],
    { count: MAX_CUT_LISTINGS, listed: MAX_CUT_LISTINGS },
  ],
])('cut is %s', (_, listings, want) => expect(cut(listings)).toEqual(want));

test('those that have gone by themselves are not looked for again', () => {
  expect(cut([some(2, false)], () => false)).toEqual({ count: 0, listed: 1 });
});

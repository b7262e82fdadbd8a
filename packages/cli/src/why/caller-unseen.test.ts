import { expect, test } from '@jest/globals';
import { adviceOf } from './caller-unseen.ts';

const unseen = { principal: 'td/ns/w/sa/gate', policies: ['shop/p'], action: 'allow' } as const;
const otherwise = 'or allow principal td/ns/w/sa/gate too, which is the waypoint';

test.each([
  ['its own namespace', 'shop/api', 'attach shop/p by targetRefs to Service api'],
  [
    'another namespace, whose Services it cannot name',
    'web/api',
    'put what shop/p says into a policy of namespace web with targetRefs to Service api',
  ],
  ['a pod alone', undefined, 'attach shop/p by targetRefs to the Gateway of the waypoint'],
])('of %s', (_, service, attach) => {
  expect(adviceOf(unseen, service)).toBe(
    `the waypoint alone sees the caller: ${attach} instead of to pods, and the waypoint enforces it; ${otherwise}`,
  );
});

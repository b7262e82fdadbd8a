import { describe, expect, test } from '@jest/globals';
import { missingCapabilities } from './capabilities.ts';

describe('missing capabilities', () => {
  const needed = ['CAP_NET_ADMIN', 'CAP_SYS_ADMIN'] as const;
  test.each([
    { status: 'Name:\tnode\nCapEff:\t0000000000000000\n', missing: ['CAP_NET_ADMIN', 'CAP_SYS_ADMIN'] },
    { status: 'CapEff:\t0000000000001000\n', missing: ['CAP_SYS_ADMIN'] },
    { status: 'CapEff:\t000001ffffffffff\n', missing: [] },
    { status: '', missing: ['CAP_NET_ADMIN', 'CAP_SYS_ADMIN'] },
  ])('$status', ({ status, missing }) => {
    expect(missingCapabilities(needed, status)).toEqual(missing);
  });
});

import { expect, test } from '@jest/globals';
import { supportConditions } from './waypoint-status.ts';

const entry = (resolution: string) => ({
  metadata: { name: 'wild', namespace: 'shop' },
  spec: { hosts: ['*.example.com'], ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution },
});

test('a ServiceEntry whose names no waypoint looks up says so, whether it has one or not', () => {
  expect(supportConditions(entry('DYNAMIC_DNS') as never)).toEqual([
    {
      type: 'ambit.mesh/Supported',
      isTrue: false,
      reason: 'UnsupportedResolution',
      message: expect.stringMatching(
        /^resolution DYNAMIC_DNS is not supported: .* get 503, and connections are closed$/,
      ),
    },
  ]);
});

test.each(['NONE', 'STATIC', 'DNS'])('one of resolution %s says nothing of it', (resolution) => {
  expect(supportConditions(entry(resolution) as never)).toEqual([]);
});

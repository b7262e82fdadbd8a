import { expect, test } from '@jest/globals';
import { fuzzing } from '@ambit/core/testing/seeded';
import { ZdsProtocolError } from './errors.ts';
import { decodeAck, decodeHello, decodeRequest, encodeAck, encodeHello, encodeRequest } from './messages.ts';

const ROUNDS = 5_000;
const pod = { uid: 'b1e2', name: 'web-0', namespace: 'shop', serviceAccount: 'web' };
const SEEDS = [
  encodeHello(),
  encodeRequest({ kind: 'add', pod }),
  encodeRequest({
    kind: 'add',
    pod: { ...pod, names: { workloadName: 'web', canonicalName: 'web', canonicalRevision: 'v1' } },
  }),
  encodeRequest({ kind: 'keep', uid: 'b1e2' }),
  encodeRequest({ kind: 'del', uid: 'b1e2' }),
  encodeRequest({ kind: 'snapshot-sent' }),
  encodeAck('no such namespace'),
];

test('any datagram is a message that can be told again, or none, and says so', () => {
  const chance = fuzzing(41);
  const count = { messages: 0, refused: 0 };
  for (let i = 0; i < ROUNDS; i++) {
    const bytes = chance.damage(SEEDS[i % SEEDS.length] ?? new Uint8Array(0));
    for (const decode of [decodeHello, decodeAck, decodeRequest]) {
      try {
        const message = decode(bytes);
        count.messages += 1;
        // What a proxy would act on means the same when it is told on.
        if (typeof message === 'object') expect(decodeRequest(encodeRequest(message))).toEqual(message);
      } catch (error) {
        expect({ bytes, error }).toEqual({ bytes, error: expect.any(ZdsProtocolError) });
        count.refused += 1;
      }
    }
  }
  expect(Math.min(count.messages, count.refused)).toBeGreaterThan(ROUNDS / 50);
});

import { expect, test } from '@jest/globals';
import { fuzzing } from '@ambit/core/testing/seeded';
import { HEADER_BYTES, parseQuery, RCODE, TYPE } from './query.ts';
import { addressReply, errorReply, rcodeOf, truncatedReply, udpLimit } from './reply.ts';
import { buildQuery } from './testing/messages.ts';

const ROUNDS = 10_000;
const edns = { payloadBytes: 1_232, dnssecOk: true };
const SEEDS = [
  buildQuery({ name: 'api.shop.svc.cluster.local', type: TYPE.a, edns }),
  buildQuery({ name: 'a.b', type: TYPE.aaaa, edns }),
  buildQuery({ name: '_http._tcp.api.shop', type: 33 }),
  buildQuery({ name: 'x', type: TYPE.a }),
];

test('any datagram is a question, an error to answer, or nothing; and every answer fits and repeats the question', () => {
  const chance = fuzzing(43);
  const count = { query: 0, error: 0, drop: 0 };
  for (let i = 0; i < ROUNDS; i++) {
    const bytes = chance.damage(SEEDS[i % SEEDS.length] ?? new Uint8Array(0));
    const parsed = parseQuery(bytes);
    count[parsed.kind] += 1;
    if (parsed.kind === 'drop') {
      expect(bytes.length).toBeLessThan(HEADER_BYTES);
      continue;
    }
    const envelope = parsed.kind === 'query' ? parsed.query : parsed.envelope;
    const ips = parsed.kind === 'query' && parsed.query.type === TYPE.aaaa ? ['2001:db8::1'] : ['10.0.0.1'];
    const answers = [
      errorReply(envelope, parsed.kind === 'error' ? parsed.rcode : RCODE.nxDomain),
      truncatedReply(envelope),
      ...(parsed.kind === 'query' ? [addressReply(parsed.query, ips, undefined)] : []),
    ];
    for (const answer of answers) {
      const view = new DataView(answer.buffer, answer.byteOffset, answer.length);
      expect([view.getUint16(0), view.getUint16(2) >> 15]).toEqual([envelope.id, 1]);
      expect(answer.subarray(HEADER_BYTES, HEADER_BYTES + envelope.question.length)).toEqual(
        envelope.question,
      );
      expect(answer.length).toBeLessThanOrEqual(udpLimit(envelope));
      rcodeOf(answer);
    }
    if (parsed.kind === 'query' && parsed.query.name !== undefined)
      expect(parsed.query.name).toMatch(/^[a-z0-9._*-]*$/);
  }
  expect(Math.min(...Object.values(count))).toBeGreaterThan(ROUNDS / 100);
});

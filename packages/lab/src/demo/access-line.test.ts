import { expect, test } from '@jest/globals';
import { parseAccessLine } from './access-line.ts';

const line = (pairs: string) => `2026-01-01T00:00:00Z\tinfo\taccess\tconnection complete\t${pairs}`;

test('reads both ends of a connection', () => {
  const pairs =
    'src.addr=10.0.0.1:4242 src.identity="spiffe://a" dst.addr=10.0.0.2:15008 dst.identity="spiffe://b" direction="outbound"';
  expect(parseAccessLine(line(pairs))).toEqual({
    direction: 'outbound',
    source: '10.0.0.1:4242',
    destination: '10.0.0.2:15008',
    sourceIdentity: 'spiffe://a',
    destinationIdentity: 'spiffe://b',
  });
});

test('a quoted value may hold what looks like a pair', () => {
  const parsed = parseAccessLine(line('src.addr=a error="x dst.identity=\\"evil\\" y" direction="inbound"'));
  expect(parsed).toMatchObject({ direction: 'inbound', destinationIdentity: undefined });
});

test.each([
  '',
  'no tabs at all',
  line('src.addr=a'),
  line('direction="sideways"'),
  '\t\tdns\tconnection complete\tdirection="inbound"',
])('%j is no connection', (text) => expect(parseAccessLine(text)).toBeUndefined());

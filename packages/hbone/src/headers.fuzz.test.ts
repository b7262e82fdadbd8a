import { expect, test } from '@jest/globals';
import { fuzzing } from '@ambit/core/testing/seeded';
import { formatBaggage, parseBaggage } from './baggage.ts';
import { traceIdOf } from './trace-context.ts';

const ROUNDS = 5_000;
const BAGGAGE = formatBaggage({
  cluster: 'Kubernetes',
  namespace: 'shop',
  workloadType: 'deployment',
  workloadName: 'web',
  service: 'web',
  revision: 'v1',
  region: 'eu',
  zone: 'eu-1',
});
const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const WORDS = [
  '%',
  '%00',
  '%zz',
  '%ff',
  ',',
  ';',
  '=',
  ' ',
  '\t',
  '"',
  ',__proto__=x,',
  ',constructor=y',
  'k8s.namespace.name=',
  '\u00ff',
];

test('whatever a peer says of itself in a CONNECT is read as far as it makes sense, and told on readably', () => {
  const chance = fuzzing(53);
  let same = 0;
  for (let i = 0; i < ROUNDS; i++) {
    const values = Array.from({ length: 1 + chance.below(2) }, () =>
      chance.mutate(Buffer.from(BAGGAGE), WORDS).toString('latin1'),
    );
    const read = parseBaggage(values);
    const again = parseBaggage([formatBaggage(read)]);
    expect({ values, again }).toEqual({ values, again: read });
    if (Object.keys(read).length > 0) same += 1;
    const trace = traceIdOf(chance.mutate(Buffer.from(TRACE), ['-', 'f', '00']).toString('latin1'));
    if (trace !== undefined) expect(trace).toMatch(/^[0-9a-f]{32}$/);
  }
  expect(same).toBeGreaterThan(ROUNDS / 2);
});

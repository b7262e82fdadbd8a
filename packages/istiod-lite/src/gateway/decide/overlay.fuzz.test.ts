/** Texts that nobody should have written over a waypoint's objects. */
import { expect, test } from '@jest/globals';
import { configFrom } from '../../config.ts';
import { renderSettings } from '../settings.ts';
import { PARTS } from './manifest.ts';
import { overlaid } from './overlay.ts';
import { renderWaypoint } from './render.ts';

const SEED = 7;
const ROUNDS = 3_000;
const PIECES = [
  'spec:',
  ' template:',
  '{',
  '}',
  '[',
  ']',
  ',',
  '\n',
  '  ',
  '- ',
  'name: x',
  'null',
  '$patch: delete',
  '$patch: replace',
  'containers:',
  'ports: [{port: 1}]',
  '&a',
  '*a',
  '<<: *a',
  '"',
  "'",
  '!!binary x',
  'metadata: {labels: {a: b}}',
  '0x7f',
  '\u0000',
  '%YAML',
  '---',
  'replicas: 3',
  'env: [{name: A, value: B}]',
  '? ',
  '|\n',
];

/** Numbers that look like chance, and are the same in every run. */
function below(seed: number): (count: number) => number {
  let state = seed;
  return (count) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % count;
  };
}

test('whatever an overlay says, it is laid over or refused in words', () => {
  const random = below(SEED);
  const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T;
  const gateway = {
    metadata: { namespace: 'shop', name: 'w', uid: 'u' },
    spec: { gatewayClassName: 'istio-waypoint' },
  };
  const rendered = renderWaypoint(gateway, renderSettings(configFrom({}), '1'), {
    gatewayClass: undefined,
    network: '',
  });
  let laidOver = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const text = Array.from({ length: 1 + random(12) }, () => pick(PIECES)).join('');
    const part = pick(PARTS);
    const result = overlaid(rendered, [{ from: 'x', texts: { [part]: text }, isTrusted: true }]);
    if (result.kind === 'problem') {
      expect(result.message).toMatch(/^x: /);
      continue;
    }
    laidOver += 1;
    for (const each of PARTS) {
      const made = result.objects[each];
      if (made)
        expect(made.metadata).toMatchObject({
          name: 'w',
          namespace: 'shop',
          ownerReferences: [{ uid: 'u' }],
        });
    }
  }
  expect(laidOver).toBeGreaterThan(10);
  expect(laidOver).toBeLessThan(ROUNDS);
});

/** Texts that nobody should have written over a waypoint's objects. */
import { expect, test } from '@jest/globals';
import { fuzzing } from '@ambit/core/testing/seeded';
import { configFrom } from '../../config.ts';
import { renderSettings } from '../settings.ts';
import { PARTS } from './manifest.ts';
import { overlaid } from './overlay.ts';
import { renderWaypoint } from './render.ts';

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

test('whatever an overlay says, it is laid over or refused in words', () => {
  const chance = fuzzing(7);
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
    const text = Array.from({ length: 1 + chance.below(12) }, () => chance.pick(PIECES)).join('');
    const part = chance.pick(PARTS);
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

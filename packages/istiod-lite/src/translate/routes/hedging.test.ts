import { expect, test } from '@jest/globals';
import { validateVirtualService } from '../../validate/virtual-service.ts';
import type { Parent } from './parents.ts';
import { wantedParents } from './route-status.ts';
import { HEDGE_ANNOTATION, hedgeAfterMs, hedgingProblem } from './hedging.ts';

const annotated = (text: string) => ({ metadata: { name: 'r', annotations: { [HEDGE_ANNOTATION]: text } } });

test.each([
  ['100ms', 100],
  ['1.5s', 1_500],
  ['1m', 60_000],
])('%s', (text, ms) => {
  expect([hedgeAfterMs(annotated(text)), hedgingProblem(annotated(text))]).toEqual([ms, undefined]);
});

test.each(['', '0', '0s', '61s', '100', '-1s', 'soon'])('"%s" has no effect, and says so', (text) => {
  expect(hedgeAfterMs(annotated(text))).toBe(0);
  expect(hedgingProblem(annotated(text))).toMatch(/has no effect/);
});

test('without it there is none', () => {
  const plain = { metadata: { name: 'r' } };
  expect([hedgeAfterMs(plain), hedgingProblem(plain)]).toEqual([0, undefined]);
});

test('the status of a route says so', () => {
  const parent = { reference: { name: 'cart' }, services: [{}], refusal: undefined } as unknown as Parent;
  const unheeded = [`metadata.annotations[${HEDGE_ANNOTATION}] ${hedgingProblem(annotated('soon'))}`];
  const route = { resources: [], parents: [parent], uses: [], references: [], rules: [], unheeded };
  const [wanted] = wantedParents({ ...route, generation: undefined }, () => ({ is: 'ours' }));
  expect(wanted?.conditions[0]).toEqual({
    type: 'Accepted',
    isTrue: true,
    reason: 'Accepted',
    message: `Route was valid; metadata.annotations[${HEDGE_ANNOTATION}] must be a duration from 1ms to 1m: it has no effect`,
  });
});

test('whoever applies a VirtualService hears of it', () => {
  const spec = { hosts: ['cart'], http: [{ route: [{ destination: { host: 'cart' } }] }] };
  const warningsOf = (text: string) => validateVirtualService({ ...annotated(text), spec }).warnings;
  expect(warningsOf('soon')).toEqual([
    `metadata.annotations[${HEDGE_ANNOTATION}]: must be a duration from 1ms to 1m: it has no effect`,
  ]);
  expect(warningsOf('50ms')).toEqual([]);
});

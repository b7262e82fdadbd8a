import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { classConditions, featuresToWrite, SUPPORTED_FEATURES } from './class-status.ts';

const REPORT = new URL('../../../../../e2e/conformance/report.yaml', import.meta.url);

test('what the conformance tests have found is said, in the order of names', () => {
  const { profiles } = parse(readFileSync(REPORT, 'utf8')) as {
    readonly profiles: readonly { readonly extended?: { readonly supportedFeatures: readonly string[] } }[];
  };
  const found = profiles.flatMap(({ extended }) => extended?.supportedFeatures ?? []);
  const names = SUPPORTED_FEATURES.map(({ name }) => name);
  expect(found.length).toBeGreaterThan(0);
  expect(names).toEqual(expect.arrayContaining(found));
  expect(names).toEqual([...names].sort());
});

test('it is written where it is not said', () => {
  const metadata = { name: 'c' };
  expect(featuresToWrite({ metadata })).toBe(SUPPORTED_FEATURES);
  expect(featuresToWrite({ metadata, status: { supportedFeatures: [{ name: 'Mesh' }] } })).toBe(
    SUPPORTED_FEATURES,
  );
  expect(featuresToWrite({ metadata, status: { supportedFeatures: SUPPORTED_FEATURES } })).toBeUndefined();
});

test('a class with parameters is not accepted: nobody reads them', () => {
  const metadata = { name: 'c', generation: 3 };
  const parametersRef = { group: '', kind: 'ConfigMap', name: 'x' };
  expect(classConditions({ metadata, spec: {} })).toMatchObject([{ isTrue: true, observedGeneration: 3 }]);
  expect(classConditions({ metadata, spec: { parametersRef } })).toMatchObject([
    { type: 'Accepted', isTrue: false, reason: 'InvalidParameters', observedGeneration: 3 },
  ]);
});

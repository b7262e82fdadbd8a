import { describe, expect, test } from '@jest/globals';
import type { Condition } from '@ambit/kube/resources/core';
import type { WantedCondition } from '../translate/condition.ts';
import { conditionsOf, conditionsToWrite, sayAll } from './conditions.ts';

const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const NOW = '2026-01-02T03:04:05Z';
const EARLIER = '2025-01-01T00:00:00Z';
const wanted = (over: Partial<WantedCondition> = {}): WantedCondition => ({
  type: 'Ours',
  isTrue: true,
  reason: 'Fine',
  message: 'all is well',
  ...over,
});
const condition = (over: Partial<Condition> = {}): Condition => ({
  type: 'Ours',
  status: 'True',
  reason: 'Fine',
  message: 'all is well',
  lastTransitionTime: EARLIER,
  ...over,
});

test('of a message as much is written as is stored, once', () => {
  const wanted = [{ type: 'Accepted', isTrue: false, reason: 'Invalid', message: 'x'.repeat(100_000) }];
  const [written] = conditionsToWrite([], wanted, 0) ?? [];
  expect(written?.message).toHaveLength(32_768);
  expect(conditionsToWrite(written ? [written] : [], wanted, 1)).toBeUndefined();
});

test.each([
  ['as somebody wrote it', 'a \ud83d b'],
  ['where it was cut', '\u{1f600}'.repeat(20_000)],
])('half a character is not written again for ever: %s', (_, message) => {
  const wanted = [{ type: 'Accepted', isTrue: false, reason: 'Invalid', message }];
  const [written] = conditionsToWrite([], wanted, 0) ?? [];
  // As the API server keeps it: what is no character becomes one.
  const stored = written && { ...written, message: Buffer.from(written.message ?? '').toString() };
  expect(conditionsToWrite(stored ? [stored] : [], wanted, 1)).toBeUndefined();
});

describe('conditionsToWrite', () => {
  const cases: Record<
    string,
    {
      current?: readonly Condition[];
      wanted: readonly WantedCondition[];
      want: readonly Condition[] | undefined;
    }
  > = {
    'no status yet': { wanted: [wanted()], want: [condition({ lastTransitionTime: NOW })] },
    'as it should be': { current: [condition()], wanted: [wanted()], want: undefined },
    'nothing there and nothing wanted': { wanted: [], want: undefined },
    'no longer wanted': { current: [condition()], wanted: [], want: [] },
    'other words, same status: since when stays': {
      current: [condition()],
      wanted: [wanted({ message: 'still well' })],
      want: [condition({ message: 'still well' })],
    },
    'another status: since now': {
      current: [condition()],
      wanted: [wanted({ isTrue: false, reason: 'Broken' })],
      want: [condition({ status: 'False', reason: 'Broken', lastTransitionTime: NOW })],
    },
    'another generation': {
      current: [condition({ observedGeneration: 1 })],
      wanted: [wanted({ observedGeneration: 2 })],
      want: [condition({ observedGeneration: 2 })],
    },
    "others' conditions do not matter": {
      current: [condition(), condition({ type: 'Theirs' })],
      wanted: [wanted()],
      want: undefined,
    },
    'what differs is written with the rest, as a set': {
      current: [condition(), condition({ type: 'Ours2' })],
      wanted: [wanted(), wanted({ type: 'Ours2', reason: 'Better' })],
      want: [condition(), condition({ type: 'Ours2', reason: 'Better' })],
    },
    'one of two goes': {
      current: [condition(), condition({ type: 'Ours2' })],
      wanted: [wanted()],
      want: [condition()],
    },
  };
  test.each(Object.entries(cases))('%s', (_, { current, wanted: all, want }) => {
    const object = { metadata: { name: 'o' }, ...(current && { status: { conditions: current } }) };
    const owned = conditionsOf(object, ['Ours', 'Ours2']);
    expect(conditionsToWrite(owned, all, NOW_MS)).toEqual(want);
  });
});

describe('sayAll', () => {
  const cases: Record<string, { current: readonly Condition[]; want: boolean }> = {
    'the same, since another time, beside those of others': {
      current: [condition({ type: 'Theirs' }), condition({ lastTransitionTime: NOW })],
      want: true,
    },
    'not there': { current: [condition({ type: 'Theirs' })], want: false },
    'another status': { current: [condition({ status: 'False' })], want: false },
    'another reason': { current: [condition({ reason: 'Other' })], want: false },
    'other words': { current: [condition({ message: 'other' })], want: false },
    'another generation': { current: [condition({ observedGeneration: 2 })], want: false },
  };
  test.each(Object.entries(cases))('%s', (_, { current, want }) => {
    expect(sayAll(current, [condition()])).toBe(want);
  });
});

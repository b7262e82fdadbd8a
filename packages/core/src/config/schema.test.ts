import { describe, expect, test } from '@jest/globals';
import {
  ConfigError,
  durationMs,
  flag,
  integer,
  loadConfig,
  oneOf,
  parseDurationMs,
  text,
} from './schema.ts';

describe('parseDurationMs', () => {
  const cases: Record<string, number | undefined> = {
    '90': 90_000,
    '500ms': 500,
    '1h30m': 5_400_000,
    '1h 30m': 5_400_000,
    '1H 30Min': 5_400_000,
    '3m + 31': 211_000,
    '1m*10': 600_000,
    '250us': 0.25,
    '1.5s': undefined,
    '-5s': undefined,
    '5 parsecs': undefined,
    '+5s': undefined,
    '': undefined,
  };
  test.each(Object.entries(cases))('%s', (given, want) => expect(parseDurationMs(given)).toBe(want));
});

describe('loadConfig', () => {
  const schema = {
    address: text({ env: 'XDS_ADDRESS', default: 'istiod:15012', doc: '' }),
    onDemand: flag({ env: 'XDS_ON_DEMAND', default: false, doc: '' }),
    deadlineMs: durationMs({ env: 'DEADLINE', default: 5_000, doc: '' }),
    port: integer({ env: 'PORT', default: 80, doc: '', max: 65_535 }),
    mode: oneOf({ env: 'MODE', default: 'shared', of: ['shared', 'dedicated'], doc: '' }),
  };

  test('an empty environment gives the defaults', () => {
    expect(loadConfig(schema, {})).toEqual({
      address: 'istiod:15012',
      onDemand: false,
      deadlineMs: 5_000,
      port: 80,
      mode: 'shared',
    });
  });

  test('set and empty is not unset', () => expect(loadConfig(schema, { XDS_ADDRESS: '' }).address).toBe(''));

  test('every problem is named at once', () => {
    const load = () =>
      loadConfig(schema, { XDS_ON_DEMAND: 'yes', DEADLINE: '1.5s', PORT: '65536', MODE: 'both' });
    expect(load).toThrow(ConfigError);
    expect(load).toThrow(
      /XDS_ON_DEMAND=yes: want true or false[\s\S]*DEADLINE=1.5s[\s\S]*PORT=65536[\s\S]*MODE=both/,
    );
  });
});

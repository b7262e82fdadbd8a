import { describe, expect, test } from '@jest/globals';
import { BULK_TABLE_BYTES } from '../threads/worker-options.ts';
import { BulkDestinations } from './bulk-destinations.ts';
import { BULK_BYTES_PER_MS, BULK_CONNECTION_BYTES, BULK_TABLE_HALVED_EVERY } from './limits.ts';

const THERE = '10.0.0.1:5201';
const LARGE = { bytes: BULK_CONNECTION_BYTES, ms: BULK_CONNECTION_BYTES / BULK_BYTES_PER_MS };
const SMALL = { bytes: 1_000, ms: 1 };

describe('destinations of bulk connections', () => {
  test('are those whose connections moved much', () => {
    const bulk = new BulkDestinations(undefined);
    expect(bulk.expects(THERE)).toBe(false);
    bulk.ended(THERE, { ...LARGE, bytes: LARGE.bytes - 1 });
    expect(bulk.expects(THERE)).toBe(false);
    bulk.ended(THERE, LARGE);
    expect(bulk.expects(THERE)).toBe(true);
    expect(bulk.expects('10.0.0.1:5202')).toBe(false);
  });

  test('are none whose connections moved as much over a long time', () => {
    const bulk = new BulkDestinations(undefined);
    bulk.ended(THERE, { ...LARGE, ms: LARGE.ms + 1 });
    bulk.ended(THERE, { bytes: 100 * LARGE.bytes, ms: 3_600_000 });
    expect(bulk.expects(THERE)).toBe(false);
  });

  test('may have a small connection beside each, and are forgotten after more', () => {
    const bulk = new BulkDestinations(undefined);
    for (let time = 0; time < 300; time++) {
      bulk.ended(THERE, LARGE);
      bulk.ended(THERE, SMALL);
      expect(bulk.expects(THERE)).toBe(true);
    }
    let small = 0;
    while (bulk.expects(THERE)) {
      bulk.ended(THERE, SMALL);
      small += 1;
    }
    expect(small).toBe(7);
    bulk.ended(THERE, SMALL);
    expect(bulk.expects(THERE)).toBe(false);
  });

  test('are forgotten if nobody connects to them any more', () => {
    const bulk = new BulkDestinations(undefined);
    for (let time = 0; time < 10; time++) bulk.ended(THERE, LARGE);
    for (let other = 0; other < 4 * BULK_TABLE_HALVED_EVERY; other++) bulk.ended('10.0.0.2:80', SMALL);
    expect(bulk.expects(THERE)).toBe(false);
  });

  test('are known to all workers that share a table', () => {
    const table = new SharedArrayBuffer(BULK_TABLE_BYTES);
    const [one, other] = [new BulkDestinations(table), new BulkDestinations(table)];
    one.ended(THERE, LARGE);
    expect(other.expects(THERE)).toBe(true);
  });

  test('seldom share a slot', () => {
    const bulk = new BulkDestinations(undefined);
    for (let host = 0; host < 100; host++) bulk.ended(`10.0.1.${host}:80`, LARGE);
    const others = Array.from({ length: 1_000 }, (_, i) => `10.1.${i >> 8}.${i & 255}:8080`);
    expect(others.filter((destination) => bulk.expects(destination)).length).toBeLessThan(60);
  });
});

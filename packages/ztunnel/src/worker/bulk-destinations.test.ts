import { describe, expect, test } from '@jest/globals';
import { BulkDestinations } from './bulk-destinations.ts';
import { BULK_CONNECTION_BYTES, BULK_TABLE_BYTES } from './limits.ts';

const PLACE = '10.0.0.1:5201';

describe('destinations of bulk connections', () => {
  test('are those whose connections moved much', () => {
    const bulk = new BulkDestinations(undefined);
    expect(bulk.expects(PLACE)).toBe(false);
    bulk.ended(PLACE, BULK_CONNECTION_BYTES - 1);
    expect(bulk.expects(PLACE)).toBe(false);
    bulk.ended(PLACE, BULK_CONNECTION_BYTES);
    expect(bulk.expects(PLACE)).toBe(true);
    expect(bulk.expects('10.0.0.1:5202')).toBe(false);
  });

  test('may have a small connection beside each, and are forgotten after more', () => {
    const bulk = new BulkDestinations(undefined);
    for (let time = 0; time < 300; time++) {
      bulk.ended(PLACE, BULK_CONNECTION_BYTES);
      bulk.ended(PLACE, 1_000);
      expect(bulk.expects(PLACE)).toBe(true);
    }
    let small = 0;
    while (bulk.expects(PLACE)) {
      bulk.ended(PLACE, 1_000);
      small += 1;
    }
    expect(small).toBe(7);
    bulk.ended(PLACE, 1_000);
    expect(bulk.expects(PLACE)).toBe(false);
  });

  test('are known to all workers that share a table', () => {
    const table = new SharedArrayBuffer(BULK_TABLE_BYTES);
    const [one, other] = [new BulkDestinations(table), new BulkDestinations(table)];
    one.ended(PLACE, BULK_CONNECTION_BYTES);
    expect(other.expects(PLACE)).toBe(true);
  });

  test('seldom share a place', () => {
    const bulk = new BulkDestinations(undefined);
    for (let host = 0; host < 100; host++) bulk.ended(`10.0.1.${host}:80`, BULK_CONNECTION_BYTES);
    const others = Array.from({ length: 1_000 }, (_, i) => `10.1.${i >> 8}.${i & 255}:8080`);
    expect(others.filter((place) => bulk.expects(place)).length).toBeLessThan(60);
  });
});

import { describe, expect, test } from '@jest/globals';
import { octetsOf } from '@ambit/http/header-fields';
import { textMatchOf } from './decode/read.ts';
import { textMatches } from './text-match.ts';
import { valueMatches, valueMatchOf } from './value-match.ts';

/** As it stands in a header. */
const sent = octetsOf;

describe('without case', () => {
  const cases = [
    ['Shop', 'sHOP', true],
    ['shop', 'shop.', false],
    // As in Envoy: of characters beyond ASCII, whose octets fold to those of others, each is itself alone.
    ['\u00c4', '\u00e4', false],
    ['\u00c4B', '\u00c4b', true],
    ['\u00c9', '\u9389', false],
  ] as const;
  test.each(cases)('%s is %s: %s', (wanted, text, want) => {
    const match = textMatchOf({ kind: { $case: 'exact', value: wanted }, ignoreCase: true }, 'headers');
    expect(textMatches(match, sent(text))).toBe(want);
  });
  test.each(cases)('a policy has the same of %s and %s', (wanted, text, want) => {
    const match = valueMatchOf([sent(wanted)], { ignoreCase: true });
    expect(valueMatches(match, sent(text))).toBe(want);
  });
});

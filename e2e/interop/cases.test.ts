import { expect, test } from '@jest/globals';
import { h2specOutcome } from './cases.ts';

const OUTPUT = `Generic tests for HTTP/2 server
  1. Starting HTTP/2
      \u001b[32m✔\u001b[0m 1: Sends a client connection preface
Failures: 

Hypertext Transfer Protocol Version 2 (HTTP/2)
  8. HTTP Message Exchanges
    8.1. HTTP Request/Response Exchange
      \u001b[31m×\u001b[0m 1: Sends a second HEADERS frame without the END_STREAM flag
        -> The endpoint MUST respond with a stream error.
           Expected: GOAWAY Frame (Error Code: PROTOCOL_ERROR)
             Actual: Timeout

Finished in 2.1 seconds
146 tests, 144 passed, 1 skipped, 1 failed
`;

test('h2spec says how many, and which failed', () => {
  expect(h2specOutcome(OUTPUT)).toEqual({
    passed: 144,
    skipped: 1,
    failed: 1,
    failures: ['Sends a second HEADERS frame without the END_STREAM flag'],
  });
  expect(h2specOutcome('Finished in 1 s\n2 tests, 2 passed, 0 skipped, 0 failed\n')).toEqual({
    passed: 2,
    skipped: 0,
    failed: 0,
    failures: [],
  });
  expect(h2specOutcome('Error: dial tcp 127.0.0.1:1: connect: connection refused')).toBeUndefined();
});

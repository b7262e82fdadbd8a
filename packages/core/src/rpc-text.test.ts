import { expect, test } from '@jest/globals';
import { rpcProblem } from './rpc-text.ts';

const refused = 'connect ECONNREFUSED 10.96.0.9:15012';

test.each([
  [
    'the last error of a channel',
    `No connection established. Last error: Error: ${refused}. Resolution note: `,
    refused,
  ],
  ['with its time', `No connection established. Last error: ${refused} (2026-05-01T10:00:00.123Z)`, refused],
  [
    'with what the resolver noted',
    `No connection established. Last error: ${refused}. Resolution note: old addresses`,
    `${refused}; old addresses`,
  ],
  [
    'of a balancer that names itself',
    `round_robin: No connection established. Last error: ${refused}`,
    refused,
  ],
  ['where there was none', 'No connection established. Last error: null. Resolution note: ', 'no connection'],
  ['what a server says', 'request authenticate failure', 'request authenticate failure'],
])('%s', (_, details, want) => expect(rpcProblem('UNAVAILABLE', details)).toBe(`UNAVAILABLE: ${want}`));

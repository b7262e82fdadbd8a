import { expect, test } from '@jest/globals';
import { expressionProblem, NAMES_OF_ANY, NAMES_OF_PARTY, NAMES_OF_REQUEST } from './names.ts';

test.each([
  ...NAMES_OF_ANY,
  ...NAMES_OF_REQUEST,
  ...NAMES_OF_PARTY.map((name) => `filter_state.upstream_peer.${name}`),
  'request.headers["x"]',
  'response.trailers["grpc-status"]',
  'node.id',
  'node.metadata["X"]',
])('%s stands for something', (name) => {
  expect(expressionProblem(name)).toBeUndefined();
});

test.each([
  'request',
  'request.hots',
  'filter_state.upstream_peer.labels',
  'node.name',
  'metadata.x',
  'a.b.c.d',
])('%s does not', (name) => {
  expect(expressionProblem(name)).toEqual(expect.any(String));
});

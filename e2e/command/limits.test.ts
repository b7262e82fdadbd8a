import { expect, test } from '@jest/globals';
import { RELEASED_OPEN_MS } from '@ambit/cli/limits';
import { RELEASE_DRAIN_MS, RELEASE_QUIET_MS } from '@ambit/cni/agent/limits';

test('what the command says of a released pod’s connections is what the node agent gives them', () => {
  expect(RELEASED_OPEN_MS).toBe(RELEASE_QUIET_MS + RELEASE_DRAIN_MS);
});

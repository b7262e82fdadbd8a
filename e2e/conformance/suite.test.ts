import { expect, test } from '@jest/globals';
import { GATEWAY_API_RELEASES } from '../cluster/gateway-api.ts';
import { imagesIn, resultsIn, suiteVersion, summaryOf } from './suite.ts';

const OUTPUT = `=== RUN   TestMesh
=== RUN   TestMesh/MeshBasic
    apply.go:1: applying
--- FAIL: TestMesh (40.10s)
    --- PASS: TestMesh/MeshBasic (3.05s)
        --- PASS: TestMesh/MeshBasic/0_request_to_'echo' (3.04s)
    --- FAIL: TestMesh/MeshPorts (31.00s)
        --- FAIL: TestMesh/MeshPorts/No_port_set (30.00s)
    --- SKIP: TestMesh/MeshSplit (0.00s)
FAIL
`;

test('the results are those of tests, not of their parts', () => {
  const results = resultsIn(OUTPUT);
  expect(results).toEqual([
    { name: 'MeshBasic', outcome: 'passed', seconds: 3.05 },
    { name: 'MeshPorts', outcome: 'failed', seconds: 31 },
    { name: 'MeshSplit', outcome: 'skipped', seconds: 0 },
  ]);
  expect(summaryOf('v1', results)).toContain('| MeshPorts | failed | 31.0 |');
  expect(resultsIn('panic: nothing was run')).toEqual([]);
});

test('images are found in a manifest, each once', () => {
  expect(imagesIn('  image: a/b:v1\n  - image: a/b:v1\n    image:   c:2 \n# image: none here\n')).toEqual([
    'a/b:v1',
    'c:2',
  ]);
});

test.each(GATEWAY_API_RELEASES)(
  'a cluster with the definitions of %s gets the suite of that release',
  (release) => expect(suiteVersion(release)).toBe(release),
);

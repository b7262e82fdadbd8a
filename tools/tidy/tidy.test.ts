import { expect, test } from '@jest/globals';
import { banProblems } from './bans.ts';
import { layerProblems } from './layers.ts';
import { importsOf, sourceFiles, withoutComments } from './sources.ts';

const files = sourceFiles();

test('arrows between packages point down only', () => expect(layerProblems(files)).toEqual([]));
test('nothing banned is used', () => expect(banProblems(files)).toEqual([]));

test('the checks see what they should', () => {
  const bad = {
    path: 'packages/core/src/x.ts',
    text: "import { a } from '@ambit/xds/client';\nDate.now();\n",
  };
  expect(layerProblems([bad])).toEqual(['packages/core/src/x.ts: core may not import xds']);
  expect(banProblems([bad])).toHaveLength(2);
  expect(importsOf("import {\n  a,\n} from './b.ts';\nexport { c } from 'd';\nimport 'e';")).toEqual([
    './b.ts',
    'd',
    'e',
  ]);
  expect(withoutComments('a; // Date.now()\n/* x */ b')).toBe('a;              \n        b');
});

import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { completion } from './completion.ts';

let script = '';
completion(['bash'], (text) => {
  script += text;
});

/** What bash offers where the line ends. */
function offered(line: string): readonly string[] {
  const words = line.split(' ');
  const program = `${script}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ambit; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', program, 'bash', ...words], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return stdout.split('\n').filter((word) => word !== '');
}

test.each([
  ['ambit wo', ['workloads']],
  ['ambit w', ['why', 'waypoint', 'workloads']],
  ['ambit waypoint g', ['generate']],
  ['ambit help pol', ['policies']],
  ['ambit completion ', ['bash', 'zsh']],
  ['ambit why --me', ['--method', '--mesh-namespace']],
  ['ambit why web api:80 --au', ['--authority']],
  ['ambit waypoint apply --f', ['--for']],
  ['ambit waypoint apply --for ', ['service', 'workload', 'all', 'none']],
  ['ambit waypoint generate -o ', ['yaml', 'json']],
  ['ambit install -o y', ['yaml']],
  ['ambit -n shop', []],
  ['ambit nonsense --', []],
])('%s', (line, want) => {
  expect(offered(line)).toEqual(want);
});

test('zsh gets the same, for its emulation of bash', () => {
  const out: string[] = [];
  completion(['zsh'], (text) => out.push(text));
  expect(out.join('')).toBe(`autoload -U +X bashcompinit && bashcompinit\n${script}`);
});

test('another shell is refused', () => {
  expect(() => completion(['zhs'], () => undefined)).toThrow(
    'completion is for bash or zsh, not "zhs"; did you mean zsh?',
  );
});

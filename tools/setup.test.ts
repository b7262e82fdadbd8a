import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { describe, expect, test } from '@jest/globals';

interface Need {
  readonly program?: string;
  readonly package: string;
}

interface Found {
  readonly missing: readonly Need[];
  readonly isRoot: boolean;
  readonly hasApt: boolean;
  readonly namespaceProblem: string | undefined;
}

interface Machine {
  readonly nodeVersion: string;
  readonly platform: string;
  readonly arch: string;
}

/** As setup.cjs has it, which runs before there is anything that strips types. */
interface Decision {
  decide(found: Found): unknown;
  needsOf(purpose: string): readonly Need[];
  readonly NO_START_POLICY: string;
  setsStartPolicy(present: string | undefined): boolean;
  unfit(purpose: string, machine: Machine): readonly string[];
  wantsNamespaces(purpose: string): boolean;
}

const { decide, needsOf, NO_START_POLICY, setsStartPolicy, unfit, wantsNamespaces } = createRequire(
  import.meta.url,
)('./setup-decision.cjs') as Decision;

const PURPOSES = ['base', 'demo', 'test', 'bench', 'e2e'];
const nft = { program: 'nft', package: 'nftables' };
const ptp = { file: '/usr/lib/cni/ptp', package: 'containernetworking-plugins' };
const atomic = { library: 'libatomic.so.1', package: 'libatomic1' };
const complete: Found = { missing: [], isRoot: false, hasApt: true, namespaceProblem: undefined };

describe('what is done', () => {
  const cases: Record<string, { found: Partial<Found>; want: unknown }> = {
    'nothing is missing': { found: {}, want: { kind: 'install', packages: [] } },
    'root installs what is missing': {
      found: { missing: [nft, ptp], isRoot: true },
      want: { kind: 'install', packages: ['nftables', 'containernetworking-plugins'] },
    },
    'a user is told all of it, and the one command': {
      found: { missing: [nft, ptp, atomic] },
      want: {
        kind: 'refuse',
        lines: [
          'Nothing was changed. Missing:',
          'nft (Debian and Ubuntu: package nftables)',
          '/usr/lib/cni/ptp (Debian and Ubuntu: package containernetworking-plugins)',
          'libatomic.so.1 (Debian and Ubuntu: package libatomic1)',
          'all of them: sudo apt-get install nftables containernetworking-plugins libatomic1',
        ],
      },
    },
    'root of a system without apt is told, and no command that it does not have': {
      found: { missing: [nft], isRoot: true, hasApt: false },
      want: {
        kind: 'refuse',
        lines: ['Nothing was changed. Missing:', 'nft (Debian and Ubuntu: package nftables)'],
      },
    },
    'a kernel without user namespaces is told in its own words, with the ways out': {
      found: { namespaceProblem: 'unshare: Operation not permitted' },
      want: {
        kind: 'refuse',
        lines: [
          'Nothing was changed. Missing:',
          'network namespaces without root: the kernel refuses user namespaces here',
          '  (unshare: Operation not permitted)',
          '  run as root, or allow them: sysctl kernel.unprivileged_userns_clone=1 (Debian),',
          '  sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 24.04 and later)',
        ],
      },
    },
    'privileges and packages are told together': {
      found: { missing: [nft], namespaceProblem: 'no' },
      want: {
        kind: 'refuse',
        lines: expect.arrayContaining(['  (no)', 'nft (Debian and Ubuntu: package nftables)']),
      },
    },
  };
  test.each(Object.entries(cases))('%s', (_, { found, want }) => {
    expect(decide({ ...complete, ...found })).toEqual(want);
  });
});

describe('what is not even looked at', () => {
  const good: Machine = { nodeVersion: '20.0.0', platform: 'linux', arch: 'arm64' };
  const cases: Record<string, { purpose?: string; machine?: Partial<Machine>; want: readonly string[] }> = {
    nothing: { want: [] },
    'an old Node': {
      machine: { nodeVersion: '18.20.1' },
      want: ['Nothing was changed. Missing:', 'Node 20 or later to start with (this is 18.20.1)'],
    },
    'another system and processor': {
      machine: { platform: 'darwin', arch: 'ia32' },
      want: [
        'Nothing was changed. Missing:',
        'Linux (this is darwin)',
        'an x64 or arm64 machine (this is ia32)',
      ],
    },
    'a purpose that there is not': {
      purpose: 'world',
      want: ['unknown purpose world: want base, demo, test, bench, e2e'],
    },
  };
  test.each(Object.entries(cases))('%s', (_, { purpose = 'demo', machine = {}, want }) => {
    expect(unfit(purpose, { ...good, ...machine })).toEqual(want);
  });
});

describe('what a purpose needs', () => {
  test('no package twice, and namespaces wherever there are tools for them', () => {
    for (const purpose of PURPOSES) {
      const packages = needsOf(purpose).map((need) => need.package);
      expect(new Set(packages).size).toBe(packages.length);
      expect(wantsNamespaces(purpose)).toBe(packages.includes('iproute2'));
    }
  });

  test('every script of package.json asks for one that there is', () => {
    const { scripts } = createRequire(import.meta.url)('../package.json') as {
      readonly scripts: Readonly<Record<string, string>>;
    };
    const asked = Object.values(scripts).flatMap((script) => /setup\.cjs (\w+)/.exec(script)?.[1] ?? []);
    expect(asked.length).toBeGreaterThan(5);
    expect(asked.filter((purpose) => !PURPOSES.includes(purpose))).toEqual([]);
  });
});

test("services are kept from starting while packages are installed, unless the operator's policy says", () => {
  expect([undefined, NO_START_POLICY, '#!/bin/sh\nexit 0\n'].map(setsStartPolicy)).toEqual([
    true,
    true,
    false,
  ]);
});

test('a machine with nothing, where nothing may be installed, is told so and stays as it is', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['tools/setup.cjs', 'e2e'], {
    cwd: new URL('..', import.meta.url).pathname,
    encoding: 'utf8',
    env: { PATH: '/nonexistent' },
  });
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toContain('ambit: cannot go on.\nNothing was changed. Missing:\n');
  expect(stderr).toContain('git (Debian and Ubuntu: package git)');
});

test.each(['--help', '-h'])('%s lists the purposes, and does nothing', (option) => {
  const { status, stdout, stderr } = spawnSync('node', ['tools/setup.cjs', option], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
  for (const purpose of PURPOSES) expect(stdout).toMatch(new RegExp(`^  ${purpose} +\\w`, 'm'));
});

/**
 * Makes a fresh machine ready for one of the npm scripts: `node tools/setup.cjs base|demo|test|bench|e2e`.
 *
 * Runs before any dependency exists and under whatever Node the machine has (20 or later), so it is CommonJS and imports
 * nothing but Node. It looks first and acts second: when something is missing that it may not install, it names all of
 * it and exits 1 with nothing changed.
 */
'use strict';

const { spawnSync } = require('node:child_process');
const { createHash } = require('node:crypto');
const { existsSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');

const TOP = join(__dirname, '..');

/** What a purpose needs from the system: a program (or library, or file) and the Debian package that brings it. */
const NEEDS = [
  { program: 'git', package: 'git', for: ['base', 'demo', 'test', 'bench', 'e2e'] },
  { library: 'libatomic.so.1', package: 'libatomic1', for: ['base', 'demo', 'test', 'bench', 'e2e'] },
  { library: 'libstdc++.so.6', package: 'libstdc++6', for: ['base', 'demo', 'test', 'bench', 'e2e'] },
  { program: 'ip', package: 'iproute2', for: ['demo', 'test', 'bench', 'e2e'] },
  { program: 'nft', package: 'nftables', for: ['demo', 'test', 'bench', 'e2e'] },
  { program: 'unshare', package: 'util-linux', for: ['demo', 'test', 'bench', 'e2e'] },
  { program: 'mount', package: 'mount', for: ['demo', 'test', 'bench', 'e2e'] },
  { program: 'tcpdump', package: 'tcpdump', for: ['bench'] },
  { program: 'sysctl', package: 'procps', for: ['demo', 'test', 'bench', 'e2e'] },
  { program: 'iptables-restore', package: 'iptables', for: ['test', 'e2e'] },
  { program: 'kubectl', package: 'kubernetes-client', for: ['test', 'e2e'] },
  { program: 'go', package: 'golang-go', for: ['test', 'bench', 'e2e'] },
  { program: 'iperf3', package: 'iperf3', for: ['bench'] },
  { program: 'redis-benchmark', package: 'redis-tools', for: ['bench'] },
  { program: 'redis-server', package: 'redis-server', for: ['bench'] },
  { program: 'wrk', package: 'wrk', for: ['bench'] },
  { program: 'h2load', package: 'nghttp2-client', for: ['bench'] },
  { program: 'containerd', package: 'containerd', for: ['e2e'] },
  { program: 'runc', package: 'runc', for: ['e2e'] },
  { file: '/usr/lib/cni/ptp', package: 'containernetworking-plugins', for: ['e2e'] },
  { program: 'ipset', package: 'ipset', for: ['e2e'] },
  { program: 'conntrack', package: 'conntrack', for: ['e2e'] },
  { program: 'prometheus', package: 'prometheus', for: ['e2e'] },
];

const SEARCH_PATH = [...(process.env.PATH ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin'];

function hasProgram(name) {
  return SEARCH_PATH.some((folder) => folder !== '' && existsSync(join(folder, name)));
}

function hasLibrary(name) {
  const cache = spawnSync('ldconfig', ['-p'], {
    encoding: 'utf8',
    env: { ...process.env, PATH: SEARCH_PATH.join(':') },
  });
  if (cache.status === 0) return cache.stdout.includes(name);
  return ['/lib', '/usr/lib', '/lib64', '/usr/lib64'].some((folder) => existsSync(join(folder, name)));
}

function missingNeeds(purpose) {
  return NEEDS.filter((need) => need.for.includes(purpose) && !isThere(need));
}

function isThere({ program, library, file }) {
  if (program) return hasProgram(program);
  return library ? hasLibrary(library) : existsSync(file);
}

/** Network namespaces need root, or a kernel that lets anybody make a user namespace. */
function privilegeProblem(purpose) {
  if (purpose === 'base' || process.getuid() === 0 || !hasProgram('unshare')) return undefined;
  const probe = spawnSync('unshare', ['--user', '--map-root-user', '--net', '--mount', 'true'], {
    encoding: 'utf8',
  });
  if (probe.status === 0) return undefined;
  return [
    'network namespaces without root: the kernel refuses user namespaces here',
    `  (${(probe.stderr ?? '').trim() || 'unshare failed'})`,
    '  run as root, or allow them: sysctl kernel.unprivileged_userns_clone=1 (Debian),',
    '  sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 24.04 and later)',
  ].join('\n');
}

function fail(lines) {
  process.stderr.write(`\nambit: cannot go on.\n${lines.join('\n')}\n\n`);
  process.exit(1);
}

function problemOf(command, args, options = {}) {
  const result = spawnSync(command, args, { stdio: 'inherit', cwd: TOP, ...options });
  if (result.error) return `${command}: ${result.error.message}`;
  return result.status === 0
    ? undefined
    : `${command} ${args.join(' ')} ended with ${result.status ?? result.signal}`;
}

/** What Debian's packages ask before they start a service; 101 is no. */
const START_POLICY = '/usr/sbin/policy-rc.d';

/** The programs alone are wanted: a package that would start a service of its own is kept from it. */
function installSystemPackages(packages) {
  process.stdout.write(`ambit: installing with apt: ${packages.join(' ')}\n`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const setsPolicy = !existsSync(START_POLICY);
  if (setsPolicy) writeFileSync(START_POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  const problem =
    problemOf('apt-get', ['update', '-qq'], { env }) ??
    problemOf('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env });
  if (setsPolicy) rmSync(START_POLICY, { force: true });
  if (problem !== undefined) fail([problem]);
}

/** npm ci, unless this lock file is what is installed already. */
function installNpmPackages() {
  const lock = createHash('sha256')
    .update(readFileSync(join(TOP, 'package-lock.json')))
    .digest('hex');
  const stamp = join(TOP, 'node_modules', '.ambit-lock');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  process.stdout.write(
    'ambit: installing npm packages (package-lock.json, 700 MB): a minute or more, in silence\n',
  );
  const problem = problemOf('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  if (problem !== undefined) fail([problem]);
  writeFileSync(stamp, lock);
}

function main() {
  const purpose = process.argv[2] ?? 'base';
  if (!['base', 'demo', 'test', 'bench', 'e2e'].includes(purpose)) fail([`unknown purpose ${purpose}`]);
  const problems = [];
  const [major = 0] = process.versions.node.split('.').map(Number);
  if (major < 20) problems.push(`Node 20 or later to start with (this is ${process.versions.node})`);
  if (process.platform !== 'linux') problems.push(`Linux (this is ${process.platform})`);
  if (!['x64', 'arm64'].includes(process.arch))
    problems.push(`an x64 or arm64 machine (this is ${process.arch})`);
  if (problems.length > 0) fail(['Nothing was changed. Missing:', ...problems]);

  const missing = missingNeeds(purpose);
  const packages = missing.map((need) => need.package);
  const mayInstall = process.getuid() === 0 && hasProgram('apt-get');
  const privilege = privilegeProblem(purpose);
  if (privilege !== undefined) problems.push(privilege);
  if (missing.length > 0 && !mayInstall) {
    for (const need of missing)
      problems.push(
        `${need.program ?? need.library ?? need.file} (Debian and Ubuntu: package ${need.package})`,
      );
    if (hasProgram('apt-get')) problems.push(`all of them: sudo apt-get install ${packages.join(' ')}`);
  }
  if (problems.length > 0) fail(['Nothing was changed. Missing:', ...problems]);

  if (packages.length > 0) installSystemPackages(packages);
  installNpmPackages();
  const pinned = spawnSync(join(TOP, 'node_modules', '.bin', 'node'), ['--version'], { encoding: 'utf8' });
  if (pinned.status !== 0)
    fail([`the pinned Node does not start: ${(pinned.stderr ?? '').trim() || pinned.error?.message}`]);
}

main();

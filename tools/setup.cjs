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
const {
  decide,
  helpText,
  needsOf,
  NO_START_POLICY,
  setsStartPolicy,
  unfit,
  wantsNamespaces,
} = require('./setup-decision.cjs');

const TOP = join(__dirname, '..');

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

function isThere({ program, library, file }) {
  if (program) return hasProgram(program);
  return library ? hasLibrary(library) : existsSync(file);
}

/** What keeps an ordinary user from making network namespaces; `undefined`: nothing, or nobody was asked. */
function namespaceProblem(purpose) {
  if (!wantsNamespaces(purpose) || process.getuid() === 0 || !hasProgram('unshare')) return undefined;
  const probe = spawnSync('unshare', ['--user', '--map-root-user', '--net', '--mount', 'true'], {
    encoding: 'utf8',
    env: { ...process.env, PATH: SEARCH_PATH.join(':') },
  });
  return probe.status === 0 ? undefined : (probe.stderr ?? '').trim() || 'unshare failed';
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

const START_POLICY = '/usr/sbin/policy-rc.d';

/** The programs alone are wanted: a package that would start a service of its own is kept from it. */
function installSystemPackages(packages) {
  process.stdout.write(`ambit: installing with apt: ${packages.join(' ')}\n`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const present = existsSync(START_POLICY) ? readFileSync(START_POLICY, 'utf8') : undefined;
  const setsPolicy = setsStartPolicy(present);
  // Ctrl-C ends apt-get, which is told as its failure, and not this before the policy is gone again.
  const goOn = () => undefined;
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, goOn);
  if (setsPolicy) writeFileSync(START_POLICY, NO_START_POLICY, { mode: 0o755 });
  const problem =
    problemOf('apt-get', ['update', '-qq'], { env }) ??
    problemOf('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env });
  if (setsPolicy) rmSync(START_POLICY, { force: true });
  for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, goOn);
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
  if (purpose === '--help' || purpose === '-h') {
    process.stdout.write(helpText());
    return;
  }
  const { platform, arch } = process;
  const problems = unfit(purpose, { nodeVersion: process.versions.node, platform, arch });
  if (problems.length > 0) fail(problems);
  const decision = decide({
    missing: needsOf(purpose).filter((need) => !isThere(need)),
    isRoot: process.getuid() === 0,
    hasApt: hasProgram('apt-get'),
    namespaceProblem: namespaceProblem(purpose),
  });
  if (decision.kind === 'refuse') fail(decision.lines);
  if (decision.packages.length > 0) installSystemPackages(decision.packages);
  installNpmPackages();
  const pinned = spawnSync(join(TOP, 'node_modules', '.bin', 'node'), ['--version'], { encoding: 'utf8' });
  if (pinned.status !== 0)
    fail([`the pinned Node does not start: ${(pinned.stderr ?? '').trim() || pinned.error?.message}`]);
}

main();

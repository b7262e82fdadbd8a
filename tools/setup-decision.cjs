/**
 * What setup.cjs does on a machine, from what it found there: go on, after installing what is missing, or say why not. Pure.
 *
 * It refuses with all that is missing at once, and before anything was changed.
 */
'use strict';

const MEANINGS = {
  base: 'the ambit command, the checks of the sources, npm run generate',
  demo: 'npm run demo',
  test: 'npm test',
  bench: 'npm run bench',
  e2e: 'npm run e2e',
};
const PURPOSES = Object.keys(MEANINGS);
const NAMESPACED = ['demo', 'test', 'bench', 'e2e'];

/** What a purpose needs from the system: a program (or library, or file) and the Debian package that brings it. */
const NEEDS = [
  { program: 'git', package: 'git', for: PURPOSES },
  { library: 'libatomic.so.1', package: 'libatomic1', for: PURPOSES },
  { library: 'libstdc++.so.6', package: 'libstdc++6', for: PURPOSES },
  { program: 'ip', package: 'iproute2', for: NAMESPACED },
  { program: 'nft', package: 'nftables', for: NAMESPACED },
  { program: 'unshare', package: 'util-linux', for: NAMESPACED },
  { program: 'mount', package: 'mount', for: NAMESPACED },
  { program: 'tcpdump', package: 'tcpdump', for: ['bench'] },
  { program: 'sysctl', package: 'procps', for: NAMESPACED },
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

const OLDEST_NODE = 20;
const NOTHING_CHANGED = 'Nothing was changed. Missing:';

/** What is printed for whoever asks. */
function helpText() {
  const lines = PURPOSES.map((purpose) => `  ${purpose.padEnd(5)}  ${MEANINGS[purpose]}\n`);
  return `usage: node tools/setup.cjs [PURPOSE]\nInstalls what this machine lacks for a purpose; default base:\n${lines.join('')}`;
}

function needsOf(purpose) {
  return NEEDS.filter((need) => need.for.includes(purpose));
}

/** Whether a purpose makes network namespaces, which need root or a kernel that lets anybody make a user namespace. */
function wantsNamespaces(purpose) {
  return NAMESPACED.includes(purpose);
}

/**
 * What keeps this machine from being looked at any further, as lines; none if nothing does.
 *
 * @param {string} purpose
 * @param {{ nodeVersion: string, platform: string, arch: string }} machine
 */
function unfit(purpose, { nodeVersion, platform, arch }) {
  if (!PURPOSES.includes(purpose)) return [`unknown purpose ${purpose}: want ${PURPOSES.join(', ')}`];
  const problems = [];
  if (Number(nodeVersion.split('.')[0]) < OLDEST_NODE)
    problems.push(`Node ${OLDEST_NODE} or later to start with (this is ${nodeVersion})`);
  if (platform !== 'linux') problems.push(`Linux (this is ${platform})`);
  if (!['x64', 'arm64'].includes(arch)) problems.push(`an x64 or arm64 machine (this is ${arch})`);
  return problems.length > 0 ? [NOTHING_CHANGED, ...problems] : [];
}

/**
 * @param {{ missing: readonly object[], isRoot: boolean, hasApt: boolean, namespaceProblem: string | undefined }} found -
 *   `missing` of {@link needsOf}; `namespaceProblem` is what was said where namespaces are needed and cannot be had.
 * @returns {{ kind: 'install', packages: readonly string[] } | { kind: 'refuse', lines: readonly string[] }}
 */
function decide({ missing, isRoot, hasApt, namespaceProblem }) {
  const packages = missing.map((need) => need.package);
  const problems = namespaceProblem === undefined ? [] : namespaceLines(namespaceProblem);
  if (missing.length > 0 && !(isRoot && hasApt)) {
    for (const need of missing)
      problems.push(
        `${need.program ?? need.library ?? need.file} (Debian and Ubuntu: package ${need.package})`,
      );
    if (hasApt) problems.push(`all of them: sudo apt-get install ${packages.join(' ')}`);
  }
  return problems.length > 0
    ? { kind: 'refuse', lines: [NOTHING_CHANGED, ...problems] }
    : { kind: 'install', packages };
}

function namespaceLines(said) {
  return [
    'network namespaces without root: the kernel refuses user namespaces here',
    `  (${said})`,
    '  run as root, or allow them: sysctl kernel.unprivileged_userns_clone=1 (Debian),',
    '  sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 24.04 and later)',
  ];
}

/** What Debian's packages ask before they start a service; 101 is no. */
const NO_START_POLICY = '#!/bin/sh\n# Of ambit tools/setup.cjs, for as long as it installs.\nexit 101\n';

/**
 * Whether to put {@link NO_START_POLICY} where nothing is, or where an installation that was killed left ours; the
 * operator's own stays.
 *
 * @param {string | undefined} present - What is there.
 */
function setsStartPolicy(present) {
  return present === undefined || present === NO_START_POLICY;
}

module.exports = { decide, helpText, needsOf, NO_START_POLICY, setsStartPolicy, unfit, wantsNamespaces };

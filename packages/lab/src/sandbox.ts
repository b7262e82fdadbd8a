/**
 * A sandbox of namespaces: the command runs again inside fresh user (unless root), network, mount and pid namespaces, and
 * everything it makes there ends with its first process, however that ends.
 *
 * Whether this machine can do it is found out by doing it (a link, a rule, a mount), never by looking at the user id.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { MeshError } from '@ambit/core/errors';

/** Set inside, so that a command knows that it need not enter again. */
export const SANDBOX_VARIABLE = 'AMBIT_SANDBOX';

/** This machine does not let the caller make namespaces with links, rules and mounts in them. */
export class SandboxError extends MeshError {
  readonly code = 'SANDBOX';
  readonly side = 'internal';
}

/** What is made ready inside before the command runs. The pid namespace needs a /proc of its own; `unshare` mounts it. */
const PREPARE = [
  // Debian leaves the folders of `nft` and `sysctl` out of an ordinary user's PATH; inside, that user is root.
  'export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"',
  'mount -t tmpfs -o mode=755 tmpfs /run',
  'mkdir -p /run/netns /run/lock',
  'ip link set lo up',
].join(' && ');

const PROBE = [
  PREPARE,
  'ip link add name probe0 type veth peer name probe1',
  'nft add table inet probe',
  'ip netns add probe',
].join(' && ');

function unshareArgs(asRoot: boolean): readonly string[] {
  const user = asRoot ? [] : ['--user', '--map-root-user'];
  return [...user, '--net', '--mount', '--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc'];
}

/** @throws {@link SandboxError} saying what the kernel or the machine refused, and what to do about it. */
export function probeSandbox(asRoot: boolean): void {
  const probe = spawnSync('unshare', [...unshareArgs(asRoot), 'sh', '-c', PROBE], { encoding: 'utf8' });
  if (probe.status === 0) return;
  const said = probe.error ? probe.error.message : probe.stderr.trim();
  const advice = adviceFor(said, asRoot);
  throw new SandboxError(`cannot make a sandbox of namespaces: ${said}; ${advice}`);
}

function adviceFor(said: string, asRoot: boolean): string {
  if (/not found|ENOENT/.test(said))
    return 'a program is missing: node tools/setup.cjs demo installs it, or names its package';
  return asRoot
    ? 'the machine is probably a container without the privilege to make namespaces (CAP_SYS_ADMIN, CAP_NET_ADMIN)'
    : 'run as root, or let users make namespaces: sysctl kernel.unprivileged_userns_clone=1 (Debian), kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 24.04 and later)';
}

/**
 * Starts `command` inside a new sandbox. Ends with it; killing the child ends everything inside.
 *
 * @param env - The environment of the command; {@link SANDBOX_VARIABLE} is added.
 */
export function spawnInSandbox(
  command: readonly string[],
  options: { readonly asRoot: boolean; readonly env: Readonly<Record<string, string | undefined>> },
): ChildProcess {
  return spawn(
    'unshare',
    [...unshareArgs(options.asRoot), 'sh', '-c', `${PREPARE} && "$@"`, 'sandbox', ...command],
    {
      stdio: 'inherit',
      env: { ...options.env, [SANDBOX_VARIABLE]: '1' },
    },
  );
}

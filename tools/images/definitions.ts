/**
 * The images as data: what is in each, and how it starts.
 *
 * All stand on one base layer with Node and what it needs, which a node unpacks once. `deploy/images/NAME/Dockerfile` says
 * the same of each for those who build with Docker; a test keeps the two in step.
 */
import { bundle } from '@ambit/core/build/bundle';
import { COMPILE_CACHE, compileAhead } from '@ambit/core/build/compile-ahead';
import { copyNativePackages } from '@ambit/core/build/native-packages';
import { buildAgent } from '../../packages/cni/src/build/build-agent.ts';
import { buildPlugin } from '../../packages/cni/src/build/build-plugin.ts';
import { buildControlPlane } from '../../packages/istiod-lite/src/build/build-control-plane.ts';
import { V8_FLAGS as CONTROL_PLANE_FLAGS } from '../../packages/istiod-lite/src/runtime.ts';
import { buildWaypoint } from '../../packages/waypoint/src/build/build-waypoint.ts';
import { V8_FLAGS as WAYPOINT_FLAGS } from '../../packages/waypoint/src/runtime.ts';
import { buildProxy } from '../../packages/ztunnel/src/build/build-proxy.ts';
import { settingsFor as proxySettings, V8_FLAGS as PROXY_FLAGS } from '../../packages/ztunnel/src/runtime.ts';
import type { ImageConfig } from './oci.ts';
import type { ImageRoot } from './root.ts';

export interface BuildHost {
  /** The top of the repository. */
  readonly top: string;
  /** The pinned Node's executable. */
  readonly node: string;
  /** As Node names it. */
  readonly arch: string;
}

export interface ImageDefinition {
  readonly name: string;
  /** What a cluster is given, or what tests alone need. */
  readonly product: boolean;
  readonly config: ImageConfig;
  /** Fills the layer above the base. */
  readonly fill: (root: ImageRoot, host: BuildHost) => Promise<void>;
}

/** Debian packages that images have files of, with what these depend on. */
export const PACKAGES: readonly string[] = [
  'ca-certificates',
  'ipset',
  'iptables',
  'libatomic1',
  'libc6',
  'libstdc++6',
  'nftables',
];

/** What loads rules. Each brings its libraries. */
const RULE_TOOLS: readonly string[] = [
  '/usr/sbin/nft',
  '/usr/sbin/xtables-nft-multi',
  '/usr/sbin/xtables-legacy-multi',
  '/usr/lib/*/xtables/*.so',
  '/usr/sbin/ipset',
];

/** The names by which the two iptables are called; plain `iptables` is the one on nftables, as on Debian. */
const IPTABLES_LINKS: Readonly<Record<string, string>> = Object.fromEntries(
  ['iptables', 'ip6tables'].flatMap((program) =>
    ['', '-save', '-restore'].flatMap((suffix) => [
      [`/usr/sbin/${program}${suffix}`, 'xtables-nft-multi'],
      [`/usr/sbin/${program}-nft${suffix}`, 'xtables-nft-multi'],
      [`/usr/sbin/${program}-legacy${suffix}`, 'xtables-legacy-multi'],
    ]),
  ),
);

const ENV = {
  PATH: '/usr/local/bin:/usr/sbin:/usr/bin',
  NODE_ENV: 'production',
  SSL_CERT_FILE: '/etc/ssl/certs/ca-certificates.crt',
};
const ROOT = '0:0';
const NONROOT = '65532:65532';

function programConfig(user: string): ImageConfig {
  return { entrypoint: ['/usr/local/bin/node', '/app/main.mjs'], user, env: ENV, workingFolder: '/' };
}

export function fillBase(root: ImageRoot, host: BuildHost): void {
  root.addSystem();
  root.addProgram(host.node, '/usr/local/bin/node');
  root.addRecords();
}

export const IMAGES: readonly ImageDefinition[] = [
  {
    name: 'istiod',
    product: true,
    config: programConfig(NONROOT),
    fill: async (root, { node }) => {
      await buildControlPlane(`${root.folder}/app`);
      compileAhead(`${root.folder}/app`, { node, flags: CONTROL_PLANE_FLAGS });
    },
  },
  {
    name: 'ztunnel',
    product: true,
    // It enters pods' network namespaces; the pod's security context takes away what it does not need. With its settings from
    // the beginning it need not start itself once more, for which a node that restarts its proxy would wait.
    config: {
      ...programConfig(ROOT),
      entrypoint: ['/usr/local/bin/node', ...PROXY_FLAGS, '/app/main.mjs'],
      env: { ...ENV, ...proxySettings(`/app/${COMPILE_CACHE}`) },
    },
    fill: async (root, host) => {
      await buildProxy(`${root.folder}/app`);
      copyNativePackages(`${host.top}/packages/linux`, `${root.folder}/app`, host.arch);
      compileAhead(`${root.folder}/app`, { node: host.node, flags: PROXY_FLAGS });
    },
  },
  {
    name: 'install-cni',
    product: true,
    config: programConfig(ROOT),
    fill: async (root, host) => {
      await buildAgent(`${root.folder}/app`);
      copyNativePackages(`${host.top}/packages/linux`, `${root.folder}/app`, host.arch);
      await buildPlugin({ outDirectory: `${root.folder}/opt/cni/bin`, node: '/usr/local/bin/node' });
      root.addFromPackages(RULE_TOOLS);
      for (const [path, target] of Object.entries(IPTABLES_LINKS)) root.replaceByLink(path, target);
      root.addRecords();
    },
  },
  {
    name: 'waypoint',
    product: true,
    config: programConfig(NONROOT),
    fill: async (root, { node }) => {
      await buildWaypoint(`${root.folder}/app`);
      compileAhead(`${root.folder}/app`, { node, flags: WAYPOINT_FLAGS });
    },
  },
  {
    name: 'echo',
    product: false,
    config: programConfig(NONROOT),
    fill: async (root, host) => {
      await bundle({ main: `${host.top}/e2e/echo/main.ts` }, `${root.folder}/app`);
    },
  },
];

export function imageNamed(name: string): ImageDefinition | undefined {
  return IMAGES.find((image) => image.name === name);
}

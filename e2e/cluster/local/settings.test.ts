import { describe, expect, test } from '@jest/globals';
import { isAtLeast } from '../../go/toolchain.ts';
import { versionIn } from '../../go/programs.ts';
import { kubernetesVersion } from './binaries.ts';
import { nodeNetwork, outerNetwork, outsideNetwork } from './render-control-plane.ts';
import { nodeFiles } from './render-node.ts';
import { quote, rootCommands } from './render-root.ts';
import { localSettings, NAME_PATTERN, nodeNumber, SLOTS } from './settings.ts';

const settings = localSettings('mesh', 1, 'dual', '/state');

test('clusters in different slots share no address', () => {
  const networks = Array.from({ length: SLOTS }, (_, slot) =>
    localSettings('x', slot, 'dual', '/state'),
  ).flatMap(({ families, link }) => [
    link,
    ...families.flatMap(({ gateway, pods, services }) => [gateway, pods, services]),
  ]);
  expect(new Set(networks).size).toBe(networks.length);
});

test.each([
  ['node1', 1],
  ['node16', 16],
  ['node17', undefined],
  ['node0', undefined],
  ['other', undefined],
])('%s is node %s', (name, number) => expect(nodeNumber(name)).toBe(number));

test.each([
  ['ambit', true],
  ['a-1', true],
  ['', false],
  ['.slots', false],
  ['../x', false],
  ['a'.repeat(32), false],
])('%j may be a name: %s', (name, may) => expect(NAME_PATTERN.test(name)).toBe(may));

describe('the network', () => {
  test('of the outer machine: a bridge that is the nodes’ gateway, and a route to the pods of each', () => {
    const commands = outerNetwork(settings);
    expect(commands).toContain('link add nodes address 02:00:0a:59:00:01 type bridge');
    expect(commands).toContain('addr add 10.89.1.1/24 dev nodes');
    expect(commands).toContain('addr add fd00:10:89:1::1/64 dev nodes nodad');
    expect(commands).toContain('route add 10.245.2.0/24 via 10.89.1.12');
    expect(commands).toContain('route add fd00:10:245:2::/64 via fd00:10:89:1::c');
  });

  test('of a node: no route to its own pods, which its CNI plugin makes', () => {
    const commands = nodeNetwork(settings, 2);
    expect(commands).toContain('route add default via 10.89.1.1');
    expect(commands.some((command) => command.includes('10.245.2.0/24'))).toBe(false);
    expect(commands).toContain('route add 10.245.1.0/24 via 10.89.1.11');
  });

  test('of this machine: one link, by which all pods are reached', () =>
    expect(outsideNetwork(settings)).toEqual([
      'addr add 10.89.1.254/24 dev ambit1',
      'addr add fd00:10:89:1::fe/64 dev ambit1 nodad',
      'link set ambit1 up',
      'route add 10.245.0.0/16 via 10.89.1.1',
      'route add fd00:10:245::/56 via fd00:10:89:1::1',
    ]));
});

describe('a node’s files', () => {
  const file = (path: string) =>
    JSON.parse(nodeFiles({ settings, number: 1 }).get(path) ?? '') as Record<string, unknown>;

  test('the network configuration gives pods an address of each family', () =>
    expect(file('/etc/cni/net.d/10-mesh.conflist')).toMatchObject({
      plugins: [
        {
          type: 'ptp',
          ipam: { ranges: [[{ subnet: '10.245.1.0/24' }], [{ subnet: 'fd00:10:245:1::/64' }]] },
        },
        { type: 'portmap' },
      ],
    }));

  test('nothing asks for what a machine without CAP_SYS_RESOURCE refuses', () => {
    expect(file('/etc/kubernetes/kubelet.json')).toMatchObject({ oomScoreAdj: 0, failCgroupV1: false });
    expect(file('/etc/kubernetes/kube-proxy.json')).toMatchObject({
      oomScoreAdj: 0,
      conntrack: { maxPerCore: 0 },
    });
    expect(nodeFiles({ settings, number: 1 }).get('/etc/containerd/config.toml')).toContain(
      'restrict_oom_score_adj = true',
    );
  });
});

describe('a node’s root', () => {
  const root = (hierarchies: Parameters<typeof rootCommands>[0]['hierarchies']) =>
    rootCommands({
      hostName: 'node1',
      root: '/s/root',
      upper: '/s/upper',
      work: '/s/work',
      binds: { '/var/lib/kubelet': '/s/kubelet' },
      hierarchies,
    });

  test('has control groups of version 2 where that is all there is', () => {
    const commands = root([{ version: 2, controllers: '', mountPoint: '/sys/fs/cgroup' }]);
    expect(commands).toContain("mount -t cgroup2 cgroup2 '/s/root/sys/fs/cgroup'");
  });

  test('has every hierarchy of version 1 in its own place', () => {
    const commands = root([
      { version: 1, controllers: 'name=systemd', mountPoint: '/sys/fs/cgroup/systemd' },
    ]);
    expect(commands).toContain("mount -t cgroup -o 'name=systemd' cgroup '/s/root/sys/fs/cgroup/systemd'");
  });

  test('is entered last, and everything outside is let go of', () =>
    expect(root([]).slice(-4)).toEqual([
      "cd '/s/root'",
      'pivot_root . run/ambit-node/old-root',
      'umount -l /run/ambit-node/old-root',
      'mount --make-rshared /',
    ]));

  test('a path with anything in it is one word of the shell', () =>
    expect(quote("a 'b' $c")).toBe("'a '\\''b'\\'' $c'"));
});

describe('the programs', () => {
  test('have the version of the module that builds them', () => {
    expect(kubernetesVersion()).toMatch(/^v\d+\.\d+\.\d+$/);
    const modules = new URL('./go/', import.meta.url).pathname;
    expect(versionIn(`${modules}coredns`, 'github.com/coredns/coredns')).toMatch(/^v\d+\.\d+\.\d+$/);
    expect(() => versionIn(`${modules}pause`, 'k8s.io/kubernetes')).toThrow('does not require');
  });

  test.each([
    ['go1.26.8', true],
    ['go1.24', true],
    ['devel go1.27-abc', true],
    ['go2.0', true],
    ['go1.19.8', false],
    ['', false],
  ])('%j is new enough: %s', (version, want) =>
    expect(isAtLeast(version, { major: 1, minor: 24 })).toBe(want),
  );
});

import { expect, test } from '@jest/globals';
import { parseOptions, type RunOptions } from './options.ts';

const defaults: RunOptions = {
  provider: 'local',
  keep: false,
  nodes: 2,
  ipFamily: 'ipv4',
  name: undefined,
  nodeImage: undefined,
  images: undefined,
  loadCommand: undefined,
  jestArguments: [],
};

test.each<[string, string[], RunOptions | string]>([
  ['nothing', [], defaults],
  [
    'jest’s own',
    ['suite/traffic', '-t', 'TCP'],
    { ...defaults, jestArguments: ['suite/traffic', '-t', 'TCP'] },
  ],
  [
    'ours among jest’s',
    ['suite', '--keep', '--nodes=3'],
    { ...defaults, keep: true, nodes: 3, jestArguments: ['suite'] },
  ],
  [
    'kind',
    ['--provider', 'kind', '--ip-family', 'dual'],
    { ...defaults, provider: 'kind', ipFamily: 'dual' },
  ],
  [
    'another Kubernetes',
    ['--provider', 'kind', '--node-image', 'kindest/node:v1.33.4'],
    { ...defaults, provider: 'kind', nodeImage: 'kindest/node:v1.33.4' },
  ],
  [
    'a node image for a cluster that has none',
    ['--node-image', 'kindest/node:v1.33.4'],
    '--node-image is for --provider kind',
  ],
  [
    'a registry with a port',
    ['--provider', 'existing', '--images', 'localhost:5000/mesh:v1'],
    { ...defaults, provider: 'existing', images: { hub: 'localhost:5000/mesh', tag: 'v1' } },
  ],
  [
    'no tag',
    ['--provider', 'existing', '--images', 'localhost:5000/mesh'],
    '--images localhost:5000/mesh: want HUB:TAG',
  ],
  ['no way for images', ['--provider', 'existing'], expect.stringContaining('how else') as unknown as string],
  [
    'images for a cluster of our own',
    ['--images', 'a:b'],
    '--images and --load-command are for --provider existing',
  ],
  ['an unknown provider', ['--provider', 'k3s'], '--provider k3s: want local, kind, existing'],
  ['no number', ['--nodes', 'x'], '--nodes x: want a number'],
  ['no value', ['--name'], '--name needs a value'],
])('%s', (_, args, want) => expect(parseOptions(args)).toEqual(want));

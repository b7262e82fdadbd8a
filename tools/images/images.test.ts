import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { merged } from './debian.ts';
import { imageNamed } from './definitions.ts';
import { dockerfileOf, dockerfiles } from './dockerfile.ts';
import { elfNeeds } from './elf.ts';
import { type ImageConfig, packImage, packLayer } from './oci.ts';
import { ImageRoot } from './root.ts';

const folder = mkdtempSync(join(tmpdir(), 'ambit-images-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const config: ImageConfig = {
  entrypoint: ['/usr/local/bin/node', '/app/main.mjs'],
  user: '65532:65532',
  env: { PATH: '/usr/bin' },
  workingFolder: '/',
};

function someRoot(name: string): string {
  const root = join(folder, name);
  mkdirSync(join(root, 'app'), { recursive: true });
  writeFileSync(join(root, 'app', 'main.mjs'), 'export {};\n');
  symlinkSync('app', join(root, 'link'));
  return root;
}

describe('packImage', () => {
  const fileIn = (archive: string, path: string) =>
    execFileSync('tar', ['-xOf', archive, path], { encoding: 'utf8' });
  const json = (archive: string, path: string) =>
    JSON.parse(fileIn(archive, path)) as Record<string, unknown>;

  test('the same files give the same bytes, whenever and wherever they were written', async () => {
    const first = someRoot('first');
    const second = join(folder, 'second');
    cpSync(first, second, { recursive: true, verbatimSymlinks: true });
    utimesSync(join(second, 'app', 'main.mjs'), 1, 1);
    const archives = [];
    for (const root of [first, second]) {
      const layer = await packLayer(root, `${root}.layer`, 'test');
      const archive = `${root}.tar`;
      const digest = packImage({ reference: 'hub/name:tag', config, layers: [layer], arch: 'x64' }, archive);
      archives.push({ digest, bytes: readFileSync(archive).toString('base64') });
    }
    expect(archives[1]).toEqual(archives[0]);
  });

  test('the archive names the image, its platform and how it starts', async () => {
    const layer = await packLayer(someRoot('named'), join(folder, 'named.layer'), 'test');
    const archive = join(folder, 'named.tar');
    const digest = packImage(
      { reference: 'hub:5000/name:v1', config, layers: [layer], arch: 'arm64' },
      archive,
    );
    expect(json(archive, 'index.json')['manifests']).toEqual([
      {
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        digest,
        size: expect.any(Number),
        platform: { architecture: 'arm64', os: 'linux' },
        annotations: {
          'io.containerd.image.name': 'hub:5000/name:v1',
          'org.opencontainers.image.ref.name': 'v1',
        },
      },
    ]);
    const manifest = json(archive, `blobs/sha256/${digest.slice(7)}`) as {
      readonly config: { readonly digest: string };
    };
    expect(json(archive, `blobs/sha256/${manifest.config.digest.slice(7)}`)).toMatchObject({
      architecture: 'arm64',
      config: { User: '65532:65532', Env: ['PATH=/usr/bin'], Entrypoint: config.entrypoint, WorkingDir: '/' },
      rootfs: { type: 'layers', diff_ids: [layer.digest] },
    });
  });
});

describe('elfNeeds', () => {
  test('Node asks for a loader and the C library', () => {
    const needs = elfNeeds(readFileSync(process.execPath));
    expect(needs?.interpreter).toMatch(/^\/lib.*\/ld-linux/);
    expect(needs?.libraries).toContain('libc.so.6');
  });

  test.each([
    ['a script', Buffer.from('#!/bin/sh\n')],
    ['a 32-bit program', Buffer.concat([Buffer.from([0x7f, 0x45, 0x4c, 0x46, 1, 1]), Buffer.alloc(60)])],
    ['nothing', Buffer.alloc(0)],
  ])('%s asks for nothing', (_, file) => expect(elfNeeds(file)).toBeUndefined());
});

describe('ImageRoot', () => {
  const packageWith = (files: Record<string, string>, name = 'tools') => {
    const source = mkdtempSync(join(folder, 'package-'));
    const entries = Object.entries(files).map(([path, text]) => {
      const file = join(source, path.replaceAll('/', '_'));
      if (text.startsWith('-> ')) symlinkSync(text.slice(3), file);
      else writeFileSync(file, text);
      return [path, { package: name, source: file }] as const;
    });
    return { files: new Map(entries), controls: new Map([[name, `Package: ${name}\n`]]) };
  };

  test('a file comes with what it links to, and with the record of its package', () => {
    const packages = packageWith({
      '/usr/bin/tool': '-> /bin/tool.real',
      '/usr/bin/tool.real': '#!/x',
      '/usr/bin/other': '',
      '/usr/share/doc/tools/copyright': 'free',
    });
    const root = new ImageRoot(join(folder, 'linked'), packages);
    root.addFromPackages(['/usr/bin/tool']);
    root.addRecords();
    const found = execFileSync('find', ['.', '-not', '-type', 'd'], { cwd: root.folder, encoding: 'utf8' });
    expect(found.trim().split('\n').sort()).toEqual([
      './usr/bin/tool',
      './usr/bin/tool.real',
      './usr/share/doc/tools/copyright',
      './var/lib/dpkg/status.d/tools',
    ]);
  });

  test('what no package has is an error that says what asked for it', () => {
    const root = new ImageRoot(join(folder, 'lacking'), packageWith({ '/usr/bin/tool': '' }));
    expect(() => root.addFromPackages(['/usr/sbin/nft'])).toThrow('no package has /usr/sbin/nft');
    expect(() => root.addProgram(process.execPath, '/usr/local/bin/node')).toThrow(
      /no package has|which no declared package has/,
    );
  });

  test('a layer does not repeat the one below', () => {
    const packages = packageWith({ '/usr/bin/tool': '', '/usr/share/doc/tools/copyright': '' });
    const base = new ImageRoot(join(folder, 'below'), packages);
    base.addFromPackages(['/usr/bin/tool']);
    const above = new ImageRoot(join(folder, 'above'), packages, base);
    above.addFromPackages(['/usr/bin/*']);
    expect(execFileSync('find', ['.', '-type', 'f'], { cwd: above.folder, encoding: 'utf8' })).toBe('');
  });
});

test.each([
  ['/bin/ip', '/usr/bin/ip'],
  ['/lib/x86_64-linux-gnu/libc.so.6', '/usr/lib/x86_64-linux-gnu/libc.so.6'],
  ['/lib64/ld-linux-x86-64.so.2', '/usr/lib64/ld-linux-x86-64.so.2'],
  ['/usr/sbin/nft', '/usr/sbin/nft'],
  ['/etc/binary', '/etc/binary'],
])('%s lies at %s in an image', (path, want) => expect(merged(path)).toBe(want));

test('every image of the product has a Dockerfile that starts it as its archive does', () => {
  expect([...dockerfiles().keys()]).toEqual([
    'istiod/Dockerfile',
    'ztunnel/Dockerfile',
    'install-cni/Dockerfile',
    'waypoint/Dockerfile',
  ]);
  const istiod = imageNamed('istiod');
  expect(istiod && dockerfileOf(istiod).split('\n').slice(3)).toEqual([
    'FROM scratch',
    'COPY base/ /',
    'COPY istiod/ /',
    'ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin NODE_ENV=production SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt',
    'USER 65532:65532',
    'WORKDIR /',
    'ENTRYPOINT ["/usr/local/bin/node","/app/main.mjs"]',
    '',
  ]);
});

/**
 * Packs layers as an image: an OCI layout in one tar archive, as `ctr images import`, `kind load image-archive` and
 * `skopeo copy oci-archive:` take it.
 *
 * The same folders give the same bytes: entries are sorted, times and owners fixed. Layers are not compressed: a node on
 * the same machine would only decompress them again, and a registry's client compresses what it sends.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, linkSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** What a container is started with, where its pod does not say otherwise. */
export interface ImageConfig {
  readonly entrypoint: readonly string[];
  /** `uid:gid`. */
  readonly user: string;
  readonly env: Readonly<Record<string, string>>;
  readonly workingFolder: string;
}

export interface Layer {
  readonly file: string;
  /** `sha256:…` of the file. */
  readonly digest: string;
  readonly sizeBytes: number;
  /** For the image's history: what the layer is. */
  readonly comment: string;
}

export interface ImageArchive {
  /** `HUB/NAME:TAG`. */
  readonly reference: string;
  readonly config: ImageConfig;
  readonly layers: readonly Layer[];
  /** As Node names it. */
  readonly arch: string;
}

/** Long ago, the same for every file of every build. */
const CREATED = '1970-01-01T00:00:00Z';
const TAR = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--format=gnu'];
const MEDIA = 'application/vnd.oci.image';
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** Makes a layer of everything below `root`. */
export async function packLayer(root: string, file: string, comment: string): Promise<Layer> {
  mkdirSync(dirname(file), { recursive: true });
  execFileSync('tar', [...TAR, '--hard-dereference', '-C', root, '-cf', file, '.']);
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return { file, digest: `sha256:${hash.digest('hex')}`, sizeBytes: statSync(file).size, comment };
}

/** @returns the image's digest, that of its manifest. */
export function packImage(image: ImageArchive, file: string): string {
  mkdirSync(dirname(file), { recursive: true });
  const layout = mkdtempSync(`${file}.`);
  try {
    const blobs = join(layout, 'blobs', 'sha256');
    mkdirSync(blobs, { recursive: true });
    for (const layer of image.layers) {
      const blob = join(blobs, layer.digest.slice('sha256:'.length));
      rmSync(blob, { force: true });
      linkSync(layer.file, blob);
    }
    const config = writeBlob(blobs, `${MEDIA}.config.v1+json`, configOf(image));
    const manifest = writeBlob(blobs, `${MEDIA}.manifest.v1+json`, {
      schemaVersion: 2,
      mediaType: `${MEDIA}.manifest.v1+json`,
      config,
      layers: image.layers.map(({ digest, sizeBytes }) => ({
        mediaType: `${MEDIA}.layer.v1.tar`,
        digest,
        size: sizeBytes,
      })),
    });
    writeFileSync(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    writeFileSync(join(layout, 'index.json'), JSON.stringify(indexOf(image, manifest)));
    const temporary = `${layout}.tar`;
    execFileSync('tar', [...TAR, '-C', layout, '-cf', temporary, 'oci-layout', 'index.json', 'blobs']);
    execFileSync('mv', [temporary, file]);
    return manifest.digest;
  } finally {
    rmSync(layout, { recursive: true, force: true });
  }
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

function writeBlob(blobs: string, mediaType: string, content: object): Descriptor {
  const bytes = Buffer.from(JSON.stringify(content));
  const digest = createHash('sha256').update(bytes).digest('hex');
  writeFileSync(join(blobs, digest), bytes);
  return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
}

function platformOf(image: ImageArchive) {
  return { architecture: ARCHITECTURES[image.arch] ?? image.arch, os: 'linux' };
}

function configOf(image: ImageArchive): object {
  const { entrypoint, user, env, workingFolder } = image.config;
  return {
    ...platformOf(image),
    created: CREATED,
    config: {
      User: user,
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      Entrypoint: entrypoint,
      WorkingDir: workingFolder,
    },
    rootfs: { type: 'layers', diff_ids: image.layers.map(({ digest }) => digest) },
    history: image.layers.map(({ comment }) => ({ created: CREATED, created_by: comment })),
  };
}

function indexOf(image: ImageArchive, manifest: Descriptor): object {
  const { reference } = image;
  const annotations = {
    'io.containerd.image.name': reference,
    'org.opencontainers.image.ref.name': reference.slice(reference.lastIndexOf(':') + 1),
  };
  return {
    schemaVersion: 2,
    mediaType: `${MEDIA}.index.v1+json`,
    manifests: [{ ...manifest, platform: platformOf(image), annotations }],
  };
}

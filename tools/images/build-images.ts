/** Makes image archives: the base layer once, then each image's own layer above it. */
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { debianFiles } from './debian.ts';
import { type BuildHost, fillBase, type ImageDefinition, PACKAGES } from './definitions.ts';
import { type Layer, packImage, packLayer } from './oci.ts';
import { ImageRoot } from './root.ts';

export interface BuildOptions {
  readonly images: readonly ImageDefinition[];
  readonly hub: string;
  readonly tag: string;
  /** Gets `NAME.tar` of each image. */
  readonly outFolder: string;
  /** Keeps the root folders as `roots/base` and `roots/NAME`, which the Dockerfiles copy. */
  readonly keepRoots: boolean;
  /** Keeps downloaded packages between runs. */
  readonly cacheFolder: string;
  readonly host: BuildHost;
}

export interface BuiltImage {
  readonly reference: string;
  readonly archive: string;
  readonly digest: string;
  readonly sizeBytes: number;
  /** Without the base layer, which images share. */
  readonly ownSizeBytes: number;
}

export async function buildImages(options: BuildOptions): Promise<readonly BuiltImage[]> {
  const { outFolder, host } = options;
  mkdirSync(outFolder, { recursive: true });
  const work = mkdtempSync(join(outFolder, '.work-'));
  const roots = options.keepRoots ? join(outFolder, 'roots') : join(work, 'roots');
  rmSync(roots, { recursive: true, force: true });
  try {
    const debian = debianFiles(PACKAGES, options.cacheFolder);
    const base = new ImageRoot(join(roots, 'base'), debian);
    fillBase(base, host);
    const baseLayer = await packLayer(base.folder, join(work, 'base.tar'), 'Node and what it needs');
    const built: BuiltImage[] = [];
    for (const image of options.images) {
      const root = new ImageRoot(join(roots, image.name), debian, base);
      await image.fill(root, host);
      const own = await packLayer(root.folder, join(work, `${image.name}.tar`), `ambit ${image.name}`);
      built.push(packOne(options, image, [baseLayer, own]));
    }
    return built;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function packOne(options: BuildOptions, image: ImageDefinition, layers: readonly Layer[]): BuiltImage {
  const reference = `${options.hub}/${image.name}:${options.tag}`;
  const archive = join(options.outFolder, `${image.name}.tar`);
  const { config } = image;
  const digest = packImage({ reference, config, layers, arch: options.host.arch }, archive);
  const { size: sizeBytes } = statSync(archive);
  return { reference, archive, digest, sizeBytes, ownSizeBytes: layers.at(-1)?.sizeBytes ?? 0 };
}

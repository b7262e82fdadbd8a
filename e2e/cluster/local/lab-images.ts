/** The two images that a node needs before anything of ours: what holds a pod's namespaces, and DNS. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { packImage, packLayer } from '../../../tools/images/oci.ts';
import { COREDNS_IMAGE } from './manifests.ts';
import { PAUSE_IMAGE } from './render-node.ts';

const IMAGES: Readonly<Record<string, string>> = { pause: PAUSE_IMAGE, coredns: COREDNS_IMAGE };

/** @param binaries - Has the programs; gets the archives. @returns their paths. */
export async function labImages(binaries: string): Promise<readonly string[]> {
  const archives: string[] = [];
  for (const [program, reference] of Object.entries(IMAGES)) {
    const archive = join(binaries, `${program}.tar`);
    archives.push(archive);
    if (existsSync(archive)) continue;
    const work = mkdtempSync(join(binaries, '.image-'));
    try {
      const root = join(work, 'root');
      mkdirSync(root);
      copyFileSync(join(binaries, program), join(root, program));
      const layer = await packLayer(root, join(work, 'layer.tar'), program);
      const config = { entrypoint: [`/${program}`], user: '0:0', env: {}, workingFolder: '/' };
      packImage({ reference, config, layers: [layer], arch: process.arch }, archive);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  return archives;
}

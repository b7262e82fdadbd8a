/** An image of somebody else's ztunnel, in the place of ours: its executable, and the libraries that it names. */
import { mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildImages } from '../../../tools/images/build-images.ts';
import { imageNamed } from '../../../tools/images/definitions.ts';
import type { Cluster } from './cluster.ts';

const PROGRAM = '/usr/local/bin/ztunnel';
const TAG = 'peer';

/**
 * Brings the image to every node.
 *
 * @param executable - Istio's `ztunnel`, for this machine.
 * @returns its reference.
 */
export async function loadPeerImage(cluster: Cluster, executable: string): Promise<string> {
  const machine = await cluster.needs('load-images');
  const ours = imageNamed('ztunnel');
  if (!ours) throw new Error('there is no image of a ztunnel to replace');
  const folder = mkdtempSync(join(tmpdir(), 'ambit-peer-image-'));
  try {
    const [built] = await buildImages({
      images: [
        {
          ...ours,
          config: { ...ours.config, entrypoint: [PROGRAM] },
          fill: async (root) => root.addProgram(executable, PROGRAM),
        },
      ],
      hub: cluster.file.images.hub,
      tag: TAG,
      outFolder: folder,
      keepRoots: false,
      cacheFolder: join(process.env['AMBIT_CACHE'] ?? join(homedir(), '.cache', 'ambit'), 'packages'),
      host: {
        top: new URL('../../../', import.meta.url).pathname,
        node: process.execPath,
        arch: process.arch,
      },
    });
    if (!built) throw new Error('no image was built');
    await machine.load([built.archive]);
    return built.reference;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

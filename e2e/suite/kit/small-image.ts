/** The image of a server that starts in milliseconds: e2e/echo/go/small, built once from its Go module. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { packImage, packLayer } from '../../../tools/images/oci.ts';
import { cacheFolder } from '../../cluster/providers.ts';
import { buildGoPrograms, modulesHash } from '../../go/programs.ts';
import type { Cluster } from './cluster.ts';
import { say } from './disturbance.ts';

const MODULES = new URL('../../echo/go/', import.meta.url).pathname;
const PROGRAM = 'small';
/** The name under which suites ask for it, in place of `echo`. */
export const SMALL_IMAGE = 'small';
const USER = '65532:65532';

/** Builds it if need be, and brings it to every node. */
export async function loadSmallImage(cluster: Cluster): Promise<void> {
  const machine = await cluster.needs('load-images');
  const folder = join(cacheFolder(process.env), PROGRAM, `${modulesHash(MODULES)}-${process.arch}`);
  const programs = [{ name: PROGRAM, module: PROGRAM, package: '.' }];
  const signal = new AbortController().signal;
  await buildGoPrograms({ modules: MODULES, programs, folder }, (line) => say(`${line}\n`), signal);
  const { hub, tag } = cluster.file.images;
  const reference = `${hub}/${SMALL_IMAGE}:${tag}`;
  const archive = join(folder, `${reference.replaceAll(/[^a-z0-9.-]/gi, '_')}.tar`);
  if (!existsSync(archive)) await pack(join(folder, PROGRAM), reference, archive);
  await machine.load([archive]);
}

async function pack(program: string, reference: string, archive: string): Promise<void> {
  const work = mkdtempSync(`${archive}.`);
  try {
    const root = join(work, 'root');
    mkdirSync(root);
    copyFileSync(program, join(root, PROGRAM));
    chmodSync(join(root, PROGRAM), 0o755);
    const layer = await packLayer(root, join(work, 'layer.tar'), 'a small server');
    const config = { entrypoint: [`/${PROGRAM}`], user: USER, env: {}, workingFolder: '/' };
    packImage({ reference, config, layers: [layer], arch: process.arch }, archive);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

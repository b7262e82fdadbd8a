/**
 * The application of the tests: Istio's echo, built from its Go module and packed under the name that their manifests use.
 *
 * No registry is asked, so the tests run where none is reached.
 */
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { generateKeys } from '@ambit/identity/keys';
import { createAuthority } from '@ambit/identity/x509';
import { packImage, packLayer } from '../../tools/images/oci.ts';

const PROGRAMS_FOLDER = '/usr/local/bin';
/** What its server is started with for TLS. */
const CERTIFICATE = '/cert.crt';
const KEY = '/cert.key';
const LIFETIME_MS = 365 * 24 * 3_600_000;
const USER = '1338:1338';

/**
 * @param programs - Has `echo-server` and `echo-client`; gets the archive.
 * @returns the archive's path.
 */
export async function echoImage(programs: string, reference: string): Promise<string> {
  const archive = join(programs, `${reference.replaceAll(/[^a-z0-9.-]/gi, '_')}.tar`);
  if (existsSync(archive)) return archive;
  const work = mkdtempSync(join(programs, '.image-'));
  try {
    const root = join(work, 'root');
    // The tests call `client` by its name.
    for (const name of ['server', 'client'])
      place(root, join(programs, `echo-${name}`), `${PROGRAMS_FOLDER}/${name}`);
    await writeCertificate(root);
    const layer = await packLayer(root, join(work, 'layer.tar'), 'Istio’s echo');
    const config = {
      entrypoint: [`${PROGRAMS_FOLDER}/server`],
      user: USER,
      env: { PATH: PROGRAMS_FOLDER },
      workingFolder: '/',
    };
    packImage({ reference, config, layers: [layer], arch: process.arch }, archive);
    return archive;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function place(root: string, source: string, path: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  copyFileSync(source, join(root, path));
  chmodSync(join(root, path), 0o755);
}

/** Of nobody in particular: the tests of a mesh make no TLS connection to it, but it does not start without. */
async function writeCertificate(root: string): Promise<void> {
  const keys = await generateKeys();
  const notBeforeMs = Date.now() - 3_600_000;
  const names = { organization: 'ambit', commonName: 'echo' };
  const certificate = await createAuthority({
    ...names,
    keys,
    notBeforeMs,
    notAfterMs: notBeforeMs + LIFETIME_MS,
  });
  writeFileSync(join(root, CERTIFICATE), certificate);
  writeFileSync(join(root, KEY), String(keys.privateKey.export({ type: 'pkcs8', format: 'pem' })), {
    mode: 0o644,
  });
}

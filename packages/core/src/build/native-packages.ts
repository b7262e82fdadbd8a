/**
 * Brings the packages that bundles leave out: their JavaScript, and the binary of one platform.
 *
 * Sources, headers, type declarations and the binaries of other platforms stay behind.
 */
import { cpSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { MeshError } from '../errors.ts';
import { NATIVE_PACKAGES } from './bundle.ts';

/** The dependencies are not installed, or not for this platform. */
export class NativePackageError extends MeshError {
  readonly code = 'NATIVE_PACKAGE';
  readonly side = 'downstream';
}

const WANTED = /\.(js|cjs|mjs|node)$|^package\.json$|^LICEN[CS]E/;
/** Builds the native part from source; a binary is there already. */
const UNWANTED = /^cnoke\.|^musl_/;

/**
 * @param from - A folder whose `node_modules`, or one above it, has the packages.
 * @param folder - Gets `node_modules`.
 * @param arch - As Node names it: `x64` or `arm64`.
 */
export function copyNativePackages(from: string, folder: string, arch: string): void {
  for (const name of NATIVE_PACKAGES) {
    const source = packageFolder(from, name);
    copyPackage(source, join(folder, 'node_modules', name));
    const platform = `linux-${arch}`;
    const manifest = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')) as {
      readonly optionalDependencies?: Readonly<Record<string, string>>;
    };
    const binary = Object.keys(manifest.optionalDependencies ?? {}).find((one) =>
      one.endsWith(`-${platform}`),
    );
    if (binary === undefined) throw new NativePackageError(`${name} has no binary for ${platform}`);
    copyPackage(packageFolder(source, binary), join(folder, 'node_modules', binary));
  }
}

function packageFolder(from: string, name: string): string {
  const require = createRequire(join(from, 'package.json'));
  for (const above of require.resolve.paths(name) ?? []) {
    const candidate = join(above, name);
    if (statSync(join(candidate, 'package.json'), { throwIfNoEntry: false })) return realpathSync(candidate);
  }
  throw new NativePackageError(`${name} is not installed: npm ci brings it`);
}

function copyPackage(source: string, target: string): void {
  for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !WANTED.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name).slice(source.length + 1);
    if (path.split('/').some((part) => UNWANTED.test(part) || part === 'node_modules')) continue;
    cpSync(join(source, path), join(target, path), { recursive: true });
  }
}

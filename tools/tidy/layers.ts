/** Which package may import which: the table of ARCHITECTURE.md, as a check. Arrows point down only. */
import { importsOf, type SourceFile } from './sources.ts';

/** The packages of this repository that each may import. */
export const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  api: [],
  core: [],
  linux: ['core'],
  model: ['api', 'core'],
  xds: ['api', 'core'],
  collections: ['core'],
  http: ['core'],
  identity: ['api', 'core'],
  hbone: ['core', 'identity', 'http'],
  zds: ['api', 'core', 'linux'],
  kube: ['core', 'collections'],
  ztunnel: ['api', 'core', 'linux', 'model', 'xds', 'identity', 'http', 'hbone', 'zds'],
  waypoint: ['api', 'core', 'model', 'xds', 'identity', 'http', 'hbone'],
  'istiod-lite': ['api', 'core', 'model', 'xds', 'identity', 'collections', 'kube'],
  cni: ['api', 'core', 'linux', 'model', 'zds', 'collections', 'kube'],
  embedded: ['core', 'identity', 'kube'],
  lab: ['core', 'linux', 'collections', 'kube', 'embedded', 'identity'],
  cli: ['core', 'model', 'kube'],
};

/** Foreign packages that one place alone may import, so that replacing one is a change of one file or package. */
export const ONLY_IN: Readonly<Record<string, RegExp>> = {
  koffi: /^packages\/linux\//,
  '@peculiar/x509': /^packages\/identity\/src\/x509\.ts$/,
  '@peculiar/webcrypto': /^packages\/identity\/src\/x509\.ts$/,
  'reflect-metadata': /^packages\/identity\/src\/x509\.ts$/,
  '@kubernetes/client-node': /^packages\/kube\//,
  'http-proxy': /^packages\/waypoint\/src\/upstream\//,
  jose: /^packages\/(embedded\/src\/access|waypoint\/src\/security)\//,
  re2js: /^packages\/core\/src\/linear-regex\.ts$/,
  pino: /^packages\/core\/src\/log\.ts$/,
  'prom-client': /^packages\/core\/src\/(telemetry\/)?metrics/,
};

export function layerProblems(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap(({ path, text }) => {
    const own = /^packages\/([^/]+)\//.exec(path)?.[1];
    return importsOf(text).flatMap((specifier) => {
      const foreign = Object.entries(ONLY_IN).find(
        ([name]) => specifier === name || specifier.startsWith(`${name}/`),
      );
      if (foreign && !foreign[1].test(path)) return [`${path}: only ${foreign[1]} may import ${foreign[0]}`];
      const target = /^@ambit\/([^/]+)/.exec(specifier)?.[1];
      if (own === undefined || target === undefined || target === own) return [];
      return MAY_IMPORT[own]?.includes(target) ? [] : [`${path}: ${own} may not import ${target}`];
    });
  });
}

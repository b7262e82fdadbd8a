/**
 * Keeps the custom resource definitions in the rendered manifests in step with their source, without Helm.
 *
 * Everything else in the file is what Helm made of the chart; tools/chart/chart.test.ts compares the whole with Helm's own
 * output, and writes it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crdFiles } from '../../packages/istiod-lite/src/schema/crd.ts';
import { type Output, TOP } from './files.ts';

export const MANIFESTS = 'deploy/manifests';
const NAME = 'ambit.yaml';
const SOURCE = '# Source: ambit/templates/mesh/crds.yaml\n';

/** Documents of kind CustomResourceDefinition replaced by `crds`, in the order of their files, as Helm has them. */
function withDefinitions(manifest: string, crds: ReadonlyMap<string, string>): string {
  const documents = manifest.split(/^---\n/m);
  const first = documents.findIndex((document) => document.startsWith(SOURCE));
  if (first < 0) throw new Error(`${MANIFESTS}/${NAME}: no document begins with ${SOURCE.trim()}`);
  const others = documents.filter((document) => !document.startsWith(SOURCE));
  const definitions = [...crds].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, text]) => SOURCE + text);
  return [...others.slice(0, first), ...definitions, ...others.slice(first)].join('---\n');
}

export function manifests(): Output {
  const committed = readFileSync(join(TOP, MANIFESTS, NAME), 'utf8');
  return new Map([[NAME, withDefinitions(committed, crdFiles())]]);
}

/**
 * Makes committed files from their sources; `--check` makes them again and fails on any difference.
 *
 * Each output folder belongs to its generator alone: what it does not make is removed.
 */
import { join } from 'node:path';
import { crdFiles } from '../packages/istiod-lite/src/schema/crd.ts';
import { chartReference } from './generate/chart-reference.ts';
import { commandReference } from './generate/command-reference.ts';
import { configReference } from './generate/config-reference.ts';
import { differences, filesBelow, type Output, TOP, writeFolder } from './generate/files.ts';
import { MANIFESTS, manifests } from './generate/manifests.ts';
import { generateProtobuf } from './generate/protobuf.ts';
import { versionConstant } from './generate/version.ts';
import { dockerfiles } from './images/dockerfile.ts';

interface Target {
  /** From the top of the repository. */
  readonly folder: string;
  readonly make: () => Output;
}

const TARGETS: readonly Target[] = [
  { folder: 'packages/api/src/gen', make: generateProtobuf },
  { folder: 'packages/core/src/gen', make: versionConstant },
  { folder: 'docs/reference/config', make: () => new Map([...configReference(), ...chartReference()]) },
  { folder: 'docs/reference/cli', make: commandReference },
  { folder: 'deploy/crds', make: crdFiles },
  { folder: 'deploy/images', make: dockerfiles },
  // Helm reads nothing from outside a chart's folder.
  { folder: 'deploy/charts/ambit/files/crds', make: crdFiles },
  { folder: MANIFESTS, make: manifests },
];

function main(args: readonly string[]): number {
  const [mode, ...rest] = args;
  if (rest.length > 0 || (mode !== undefined && mode !== '--check')) {
    process.stderr.write('usage: node tools/generate.ts [--check]\n');
    return 2;
  }
  const problems: string[] = [];
  for (const { folder, make } of TARGETS) {
    const wanted = make();
    if (mode === undefined) writeFolder(join(TOP, folder), wanted);
    else problems.push(...differences(folder, wanted, filesBelow(join(TOP, folder))));
  }
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  if (problems.length > 0) process.stderr.write('run: npm run generate\n');
  return problems.length > 0 ? 1 : 0;
}

process.exitCode = main(process.argv.slice(2));

/** Programs of others that speak to the mesh: gRPC's interoperability client and server, and h2spec. */
import { join } from 'node:path';
import type { Report } from '../cluster/provider.ts';
import { buildGoPrograms, type GoProgram, modulesHash } from '../go/programs.ts';

const E2E = new URL('../', import.meta.url).pathname;
const MODULES = join(E2E, 'interop', 'go');
const GRPC = 'google.golang.org/grpc/interop';

const PROGRAMS: readonly GoProgram[] = [
  { name: 'grpc-client', module: '.', package: `${GRPC}/client` },
  { name: 'grpc-server', module: '.', package: `${GRPC}/server` },
  { name: 'h2spec', module: '.', package: 'github.com/summerwind/h2spec/cmd/h2spec' },
];

/** @returns the folder that has them, by name. */
export async function interopPrograms(cache: string, report: Report, signal: AbortSignal): Promise<string> {
  const folder = join(cache, 'interop', `${process.arch}-${modulesHash(MODULES)}`);
  await buildGoPrograms({ modules: MODULES, programs: PROGRAMS, folder }, report, signal);
  return folder;
}

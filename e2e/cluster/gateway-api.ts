/**
 * The Gateway API's resource kinds for clusters under test: those of the release that the mesh conforms to, experimental ones
 * included, from its Go module. They are its project's, so none of them is in this repository.
 *
 * A cluster that has them already keeps those it has.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KubeClient } from '@ambit/kube/client';
import type { KubeObject } from '@ambit/kube/resource';
import { customResourceDefinitions } from '@ambit/kube/resources/authentication';
import { applyAll, parseManifests } from '@ambit/lab/apply';
import { goCommand, type GoVersion } from '../go/toolchain.ts';
import { mustRun } from './command.ts';
import { ProviderError } from './errors.ts';
import type { Report } from './provider.ts';

const MODULE = 'sigs.k8s.io/gateway-api';
/** As the conformance suite's; `AMBIT_E2E_GATEWAY_API` names another of {@link RELEASES}. */
export const GATEWAY_API_VERSION = 'v1.6.3';

interface Release {
  /** Of the module's files, as Go's checksum database has it. */
  readonly sum: string;
  /** That downloads it. */
  readonly go: GoVersion;
}

const RELEASES: Readonly<Record<string, Release>> = {
  [GATEWAY_API_VERSION]: {
    sum: 'h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=',
    go: { major: 1, minor: 21 },
  },
  'v1.7.0': {
    sum: 'h1:duVnm7nO6oXfMMUWfcDoBph47CYR/ME3NGxccOVglaY=',
    go: { major: 1, minor: 27 },
  },
};
export const GATEWAY_API_RELEASES = Object.keys(RELEASES);
const CRD_FOLDER = 'config/crd/experimental';
const DOWNLOAD_TIMEOUT_MS = 5 * 60_000;
const APPLY_TIMEOUT_MS = 120_000;
const ESTABLISH_TIMEOUT_MS = 60_000;
const POLL_MS = 200;
const KNOWN_BY = 'gateways.gateway.networking.k8s.io';

/** Definitions alone: its policy that guards upgrades is for those who upgrade. */
export async function gatewayApiDefinitions(report: Report): Promise<readonly KubeObject[]> {
  const { version, release } = wantedRelease();
  const go = await goCommand(release.go, report);
  const answer = await mustRun([...go, 'mod', 'download', '-json', `${MODULE}@${version}`], {
    env: { ...process.env, GOFLAGS: '-mod=mod' },
    timeoutMs: DOWNLOAD_TIMEOUT_MS,
    cwd: '/',
  });
  const { Dir: folder, Sum: sum } = JSON.parse(answer) as { readonly Dir?: string; readonly Sum?: string };
  if (folder === undefined || sum !== release.sum)
    throw new ProviderError(
      `${MODULE}@${version} is not what it was: ${sum ?? 'no checksum'}, not ${release.sum}`,
    );
  const definitions = join(folder, CRD_FOLDER);
  return readdirSync(definitions)
    .filter((name) => name.startsWith('gateway.networking.'))
    .sort()
    .flatMap((name) => parseManifests(readFileSync(join(definitions, name), 'utf8')))
    .filter(({ kind }) => kind === 'CustomResourceDefinition');
}

/** The release that clusters under test get. @throws {@link ProviderError} if none here is called so. */
export function wantedGatewayApi(): string {
  return wantedRelease().version;
}

function wantedRelease(): { readonly version: string; readonly release: Release } {
  const version = process.env['AMBIT_E2E_GATEWAY_API'] || GATEWAY_API_VERSION;
  const release = RELEASES[version];
  if (release) return { version, release };
  const known = GATEWAY_API_RELEASES.join(', ');
  throw new ProviderError(`AMBIT_E2E_GATEWAY_API is ${version}, and must be one of ${known}`);
}

/** Resolves when the API server serves them. */
export async function installGatewayApi(
  kubeconfig: string,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  using client = await KubeClient.load({ kubeconfigPath: kubeconfig });
  if (await client.find(customResourceDefinitions, { name: KNOWN_BY }, signal)) return;
  const definitions = await gatewayApiDefinitions(report);
  await applyAll(client, definitions, AbortSignal.any([signal, AbortSignal.timeout(APPLY_TIMEOUT_MS)]));
  const names = definitions.map(({ metadata }) => metadata.name);
  const endMs = performance.now() + ESTABLISH_TIMEOUT_MS;
  for (;;) {
    const { items } = await client.list(customResourceDefinitions, {}, signal);
    const served = new Set(
      items
        .filter(({ status }) =>
          status?.conditions?.some(({ type, status: is }) => type === 'Established' && is === 'True'),
        )
        .map(({ metadata }) => metadata.name),
    );
    const waiting = names.filter((name) => !served.has(name));
    if (waiting.length === 0) break;
    if (performance.now() > endMs) throw new ProviderError(`not served: ${waiting.join(', ')}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  report(`the Gateway API ${wantedGatewayApi()} is installed`);
}

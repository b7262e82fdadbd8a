/** The suite's programs, and what its output says. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GATEWAY_API_VERSION } from '../cluster/gateway-api.ts';
import type { Report } from '../cluster/provider.ts';
import { buildGoPrograms, type GoProgram, goModuleFolder, modulesHash, versionIn } from '../go/programs.ts';
import { echoImage } from './echo-image.ts';

const MODULES = new URL('./go/', import.meta.url).pathname;
const SUITE_MODULE = join(MODULES, 'suite');
const CONFORMANCE = 'sigs.k8s.io/gateway-api/conformance';
const ECHO = 'istio.io/istio/pkg/test/echo/cmd';

const APPLICATION: readonly GoProgram[] = [
  { name: 'echo-server', module: 'echo', package: `${ECHO}/server` },
  { name: 'echo-client', module: 'echo', package: `${ECHO}/client` },
];

export interface Suite {
  /** `v1.6.3`. */
  readonly version: string;
  /** The test program. */
  readonly program: string;
  /** Of the application that its manifests name. */
  readonly images: readonly string[];
}

/** The suite of a release of the Gateway API has modules of its own. */
function modFileOf(release: string): string {
  return release === GATEWAY_API_VERSION ? 'go.mod' : `${release}.mod`;
}

/** @param release - Of the Gateway API. */
export function suiteVersion(release: string): string {
  return versionIn(SUITE_MODULE, CONFORMANCE, modFileOf(release));
}

/** Builds what is not in the cache. @param release - Of the Gateway API, which the cluster has. */
export async function makeSuite(
  release: string,
  cache: string,
  report: Report,
  signal: AbortSignal,
): Promise<Suite> {
  const modFile = modFileOf(release);
  const name = `conformance-${release}`;
  const folder = join(cache, 'conformance', `${process.arch}-${modulesHash(MODULES)}`);
  const suite: GoProgram = { name, module: 'suite', modFile, package: '.', isTest: true };
  await buildGoPrograms({ modules: MODULES, programs: [suite, ...APPLICATION], folder }, report, signal);
  const module = await goModuleFolder(SUITE_MODULE, CONFORMANCE, report, modFile);
  const images = imagesIn(readFileSync(join(module, 'mesh', 'manifests.yaml'), 'utf8'));
  return {
    version: suiteVersion(release),
    program: join(folder, name),
    images: await Promise.all(images.map((reference) => echoImage(folder, reference))),
  };
}

/** The references of a manifest's images, each once. */
export function imagesIn(manifest: string): readonly string[] {
  return [...new Set([...manifest.matchAll(/^\s*image:\s*(\S+)\s*$/gm)].map((match) => match[1] ?? ''))];
}

export interface TestResult {
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  readonly seconds: number;
}

const OUTCOMES = { PASS: 'passed', FAIL: 'failed', SKIP: 'skipped' } as const;

/** The results of the suite's tests, from the output of Go's `-test.v`. What is within a test belongs to it. */
export function resultsIn(output: string): readonly TestResult[] {
  return [...output.matchAll(/^ {4}--- (PASS|FAIL|SKIP): TestMesh\/([^/\s]+) \((\d+(?:\.\d+)?)s\)$/gm)].map(
    ([, word, name = '', seconds]) => ({
      name,
      outcome: OUTCOMES[word as keyof typeof OUTCOMES],
      seconds: Number(seconds),
    }),
  );
}

/** For people: what was run, and how each test ended. */
export function summaryOf(version: string, results: readonly TestResult[]): string {
  const rows = results.map(
    ({ name, outcome, seconds }) => `| ${name} | ${outcome} | ${seconds.toFixed(1)} |`,
  );
  return [
    `# Gateway API conformance ${version}: MESH-HTTP and MESH-GRPC`,
    '',
    '| test | outcome | seconds |',
    '| --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

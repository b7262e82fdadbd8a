/**
 * `npm run fuzz`: the fuzz suites again and again, each time with other seeds, until the time is over.
 *
 * A seed that fails is said with the command that fails the same way again. The last line is plain: `N passed, N failed`.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const USAGE = `npm run fuzz -- [--seconds N] [--seed N] [PATH…]

  --seconds N  how long; the seeds under way are finished (default 60)
  --seed N     the first; each further one is one more (default: by the clock)
  PATH         suites whose path has this in it (default: all that are named fuzz.test.ts)
`;
const FUZZ_SUITES = String.raw`fuzz\.test\.ts$`;
/** Short enough to type. */
const MAX_SEED = 1_000_000;
/** A suite takes a minute at most; one that hangs is a failure. */
const SEED_TIMEOUT_MS = 600_000;

interface Counts {
  readonly passed: number;
  readonly failed: number;
}

function whole(text: string, name: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new RangeError(`--${name} is a whole number, not ${text}`);
  return Number(text);
}

/** Runs all suites with one seed. */
function runSeed(seed: number, paths: readonly string[], countsFile: string): Counts {
  const patterns = paths.length > 0 ? paths : [FUZZ_SUITES];
  const { status } = spawnSync('npm', ['run', '--silent', 'test:unit', '--', ...patterns], {
    stdio: 'inherit',
    timeout: SEED_TIMEOUT_MS,
    env: { ...process.env, AMBIT_FUZZ_SEED: String(seed), AMBIT_TEST_COUNTS: countsFile },
  });
  const counts = readCounts(countsFile);
  return status === 0 ? counts : { ...counts, failed: Math.max(1, counts.failed) };
}

/** What tools/count-reporter.mjs wrote: a line for each run of jest. */
function readCounts(file: string): Counts {
  try {
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    const { passed = 0, failed = 0 } = JSON.parse(lines.at(-1) ?? '{}') as Partial<Counts>;
    return { passed, failed };
  } catch {
    return { passed: 0, failed: 0 };
  }
}

function main(): number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const endsMs = performance.now() + whole(values.seconds, 'seconds') * 1_000;
  const first = values.seed === undefined ? Date.now() % MAX_SEED : whole(values.seed, 'seed');
  const folder = mkdtempSync(join(tmpdir(), 'ambit-fuzz-'));
  const sum = { passed: 0, failed: 0 };
  const failing: number[] = [];
  try {
    for (let seed = first; seed === first || performance.now() < endsMs; seed++) {
      process.stdout.write(`\n── seed ${seed}\n`);
      const { passed, failed } = runSeed(seed, positionals, join(folder, `${seed}`));
      sum.passed += passed;
      sum.failed += failed;
      if (failed > 0) failing.push(seed);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  for (const seed of failing)
    process.stdout.write(
      `seed ${seed} failed; again: npm run fuzz -- --seconds 0 --seed ${seed} ${positionals.join(' ')}\n`,
    );
  process.stdout.write(`${sum.passed} passed, ${sum.failed} failed\n`);
  return sum.failed > 0 ? 1 : 0;
}

try {
  process.exitCode = main();
} catch (error) {
  process.stderr.write(
    `npm run fuzz: ${error instanceof Error ? error.message : String(error)}\n\nusage: ${USAGE}`,
  );
  process.exitCode = 2;
}

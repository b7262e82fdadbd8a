/** One thing that the demo shows: the command a user would type, what happened, and whether it is as it should be. */

export interface StepResult {
  readonly passed: boolean;
  /** What was seen, a line each. */
  readonly seen: readonly string[];
}

export interface Step {
  readonly title: string;
  /** What a user would type to do the same; none when the step only looks. */
  readonly commands: readonly string[];
  readonly run: (signal: AbortSignal) => Promise<StepResult>;
}

/** All of `checks` must hold; each is a line of its own, with a tick or a cross. */
export function result(...checks: readonly (readonly [passed: boolean, seen: string])[]): StepResult {
  return {
    passed: checks.every(([passed]) => passed),
    seen: checks.map(([passed, seen]) => `${passed ? '✓' : '✗'} ${seen}`),
  };
}

/** What a command wrote, as lines beneath the one that speaks of it. */
export function quoted({ output }: { readonly output: string }): readonly string[] {
  return output
    .trim()
    .split('\n')
    .map((line) => `    ${line}`);
}

/**
 * Runs the steps in order, telling each as it goes; the first that fails is the last.
 *
 * @param explain - What to say below a step that failed.
 */
export async function runSteps(
  steps: readonly Step[],
  write: (line: string) => void,
  signal: AbortSignal,
  explain: () => Promise<readonly string[]>,
): Promise<{ readonly passed: number; readonly failed: number }> {
  let passed = 0;
  for (const [index, step] of steps.entries()) {
    signal.throwIfAborted();
    write('');
    write(`${index + 1}. ${step.title}`);
    for (const command of step.commands) write(`   $ ${command}`);
    const outcome = await step.run(signal).catch((error: unknown): StepResult => {
      signal.throwIfAborted();
      return { passed: false, seen: [`✗ ${error instanceof Error ? error.message : String(error)}`] };
    });
    for (const line of outcome.seen) write(`   ${line}`);
    if (!outcome.passed) for (const line of await explain()) write(`     ${line}`);
    write(`   ${outcome.passed ? 'PASS' : 'FAIL'}`);
    if (!outcome.passed) return { passed, failed: 1 };
    passed += 1;
  }
  return { passed, failed: 0 };
}

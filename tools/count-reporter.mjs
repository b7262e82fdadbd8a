/**
 * Appends this run's totals as one JSON line to the file named by AMBIT_TEST_COUNTS, for the plain closing line
 * of tools/check.ts. A skipped or todo test is counted, so that it cannot go unseen.
 */
import { appendFileSync } from 'node:fs';

export default class CountReporter {
  onRunComplete(_contexts, results) {
    const file = process.env.AMBIT_TEST_COUNTS;
    if (!file) return;
    const line = {
      passed: results.numPassedTests,
      failed: results.numFailedTests + results.numRuntimeErrorTestSuites,
      skipped: results.numPendingTests + results.numTodoTests,
    };
    appendFileSync(file, `${JSON.stringify(line)}\n`);
  }
}

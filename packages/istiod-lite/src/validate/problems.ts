/**
 * What validation finds: errors make an object invalid; refusals are mistakes in one that is valid, and keep it out at
 * admission without changing what it does where it is already; warnings are shown to whoever applies it.
 */

export interface Findings {
  readonly errors: readonly string[];
  readonly refusals: readonly string[];
  readonly warnings: readonly string[];
}

/** Collects findings; each is `path: problem`. */
export class Collector implements Findings {
  readonly errors: string[] = [];
  readonly refusals: string[] = [];
  readonly warnings: string[] = [];

  error(path: string, problem: string): void {
    this.errors.push(`${path}: ${problem}`);
  }

  refuse(path: string, problem: string): void {
    this.refusals.push(`${path}: ${problem}`);
  }

  warn(path: string, problem: string): void {
    this.warnings.push(`${path}: ${problem}`);
  }
}

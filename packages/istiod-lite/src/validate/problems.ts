/** What validation finds: errors refuse an object at admission, warnings are shown to whoever applies it. */

export interface Findings {
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

/** Collects findings; each is `path: problem`. */
export class Collector implements Findings {
  readonly errors: string[] = [];
  readonly warnings: string[] = [];

  error(path: string, problem: string): void {
    this.errors.push(`${path}: ${problem}`);
  }

  warn(path: string, problem: string): void {
    this.warnings.push(`${path}: ${problem}`);
  }
}

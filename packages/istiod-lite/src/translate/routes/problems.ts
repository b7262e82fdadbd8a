/** What is wrong with a route, in the Gateway API's words. */

/** Of a reference: its share of requests is refused, or its mirror left out. */
export interface ReferenceProblem {
  readonly reason: 'BackendNotFound' | 'InvalidKind' | 'RefNotPermitted' | 'UnsupportedProtocol';
  readonly message: string;
}

/** Of a rule as a whole: what it matches is refused. */
export interface RuleProblem {
  readonly reason: 'UnsupportedValue' | 'IncompatibleFilters';
  readonly message: string;
}

/** Thrown within a translation, and caught by the rule. */
export class RuleRefusal extends Error {
  readonly reason: RuleProblem['reason'];

  constructor(message: string, reason: RuleProblem['reason'] = 'UnsupportedValue') {
    super(message);
    this.reason = reason;
  }
}

/** The references of one route: where they lead, and what is wrong with those that lead nowhere, each once. */
export class References {
  readonly problems: ReferenceProblem[] = [];
  readonly #services = new Set<string>();

  /** By `namespace/hostname`. */
  get services(): readonly string[] {
    return [...this.#services];
  }

  leads(to: string): void {
    this.#services.add(to);
  }

  fails(problem: ReferenceProblem): void {
    if (!this.problems.some(({ message }) => message === problem.message)) this.problems.push(problem);
  }
}

/**
 * What one VirtualService hands requests on to. Pure, but for what it remembers of one translation.
 *
 * Each delegate is looked at once, and all of them together are bounded: what a delegate says is repeated for every route
 * that leads to it, so that two objects of the longest that is stored could come to gigabytes, and regular expressions of
 * any number be compiled.
 */
import type {
  VirtualService,
  VirtualServiceHttpRoute,
  VirtualServiceSpec,
} from '@ambit/kube/resources/networking';
import { MAX_DELEGATED_CHARS, MAX_PATTERN_CHARS, MAX_WARNING_CHARS } from '../../limits.ts';
import { patternChars } from '../../validate/patterns.ts';
import { validateVirtualService } from '../../validate/virtual-service.ts';
import { isExportedTo } from '../hosts.ts';
import { exportsOf } from './scope.ts';

type Routes = readonly VirtualServiceHttpRoute[];
type HttpDelegate = NonNullable<VirtualServiceHttpRoute['delegate']>;

export type Delegated =
  | { readonly namespace: string; readonly http: Routes }
  /** Why requests are handed on to nobody. */
  | { readonly problem: string };

interface Found {
  readonly object: VirtualService;
  readonly patternChars: number;
  /** `undefined`: not yet. */
  looked: Looked | undefined;
}

/** What was found out by looking at one. */
type Looked =
  | { readonly problem: string }
  | { readonly problem?: undefined; readonly http: Routes; readonly chars: number; readonly matches: number };

export class Delegates {
  readonly #namespace: string;
  readonly #lookUp: (key: string) => VirtualService | undefined;
  readonly #known = new Map<string, Found | undefined>();
  #chars = 0;
  #patternChars: number;

  /**
   * @param namespace - Of the root.
   * @param spec - The root's: its own regular expressions count as well.
   * @param lookUp - By `namespace/name`.
   */
  constructor(
    namespace: string,
    spec: VirtualServiceSpec,
    lookUp: (key: string) => VirtualService | undefined,
  ) {
    this.#namespace = namespace;
    this.#patternChars = patternChars(spec);
    this.#lookUp = lookUp;
  }

  /** For a route of the root. */
  of(route: VirtualServiceHttpRoute, { name = '', namespace = this.#namespace }: HttpDelegate): Delegated {
    const key = `${namespace}/${name}`;
    const found = this.#find(key);
    const taken = found ? this.#take(route, found) : 'was not found';
    return typeof taken === 'string' ? { problem: `delegate ${key} ${taken}` } : { namespace, http: taken };
  }

  /** What is not exported to the root is not told from what is not there. */
  #find(key: string): Found | undefined {
    if (this.#known.has(key)) return this.#known.get(key);
    const object = this.#lookUp(key);
    const isForUs =
      object &&
      isExportedTo(exportsOf(object.spec?.exportTo), object.metadata.namespace ?? '', this.#namespace);
    const found = isForUs && { object, patternChars: patternChars(object.spec), looked: undefined };
    this.#known.set(key, found || undefined);
    return found || undefined;
  }

  /** Its rules, which count from now on; in words, why not. */
  #take(route: VirtualServiceHttpRoute, found: Found): Routes | string {
    const copies = Math.max(1, route.match?.length ?? 0);
    this.#patternChars += copies * found.patternChars;
    // Before anything is compiled.
    if (found.patternChars > 0 && this.#patternChars > MAX_PATTERN_CHARS)
      return `brings regular expressions to more than ${MAX_PATTERN_CHARS} characters in all`;
    found.looked ??= lookAt(found.object);
    const { looked } = found;
    if (looked.problem !== undefined) return looked.problem;
    this.#chars += copies * looked.chars + JSON.stringify(route).length * looked.matches;
    return this.#chars > MAX_DELEGATED_CHARS
      ? `brings what is delegated to more than ${MAX_DELEGATED_CHARS} characters in all`
      : looked.http;
  }
}

function lookAt(object: VirtualService): Looked {
  const { errors } = validateVirtualService(object);
  // It is told for every route that leads there.
  if (errors.length > 0) return { problem: `is invalid: ${errors.join('; ')}`.slice(0, MAX_WARNING_CHARS) };
  const { hosts = [], http = [] } = object.spec ?? {};
  if (hosts.length > 0) return { problem: 'has hosts, so nothing can be delegated to it' };
  const matches = http.reduce((sum, { match = [] }) => sum + Math.max(1, match.length), 0);
  return { http, chars: JSON.stringify(http).length, matches };
}

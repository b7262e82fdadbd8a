/**
 * What TLS towards endpoints is made of: authorities, and the waypoint's own certificate and key where a policy has it show
 * one. From the policy itself, from files, or from a Secret that the kubelet keeps mounted.
 *
 * Files are looked at again before a connection is made, so that what was renewed is used without a restart. What is
 * missing or cannot be used fails the connection, also where it was there before: nothing goes on with what somebody took
 * away. Keys are nowhere but in the context; a problem names files, and never what is in them.
 */
import { createHash } from 'node:crypto';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { pemBlocks } from '@ambit/identity/pem';
import { TLS_FILES_CHECK_MS } from '../limits.ts';
import type { TlsSource, UpstreamTls } from '../resources/destination-policy.ts';

/** Where Secrets are mounted, each as a folder of its name. */
export const CREDENTIALS_FOLDER = '/etc/istio/credentials';

export interface TlsMaterialsOptions {
  /** What is in a file; `undefined`: there is none. Rejects where it cannot be read. */
  readonly read: (path: string) => Promise<string | undefined>;
  /** Default: {@link CREDENTIALS_FOLDER}. */
  readonly credentials?: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** In PEM. */
interface Material {
  readonly ca: string | readonly string[];
  readonly crl: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

type Loaded =
  | { readonly context: SecureContext; readonly fingerprint: string }
  | { readonly problem: Error; readonly fingerprint: undefined };

interface Kept {
  readonly loaded: Loaded;
  readonly lookedMs: number;
}

export class TlsMaterials {
  readonly #options: TlsMaterialsOptions;
  /** Policies are replaced, never changed. */
  readonly #inline = new WeakMap<UpstreamTls, SecureContext>();
  readonly #kept = new WeakMap<UpstreamTls, Kept>();
  readonly #loading = new WeakMap<UpstreamTls, Promise<Loaded>>();

  constructor(options: TlsMaterialsOptions) {
    this.#options = options;
  }

  /**
   * At once where nothing has to be read.
   *
   * @throws {@link Error} when there is something missing, or wrong with it.
   */
  contextOf(policy: UpstreamTls): SecureContext | Promise<SecureContext> {
    const { source } = policy;
    if (!source) return this.#inlineContext(policy);
    const kept = this.#kept.get(policy);
    if (kept && this.#options.clock.monotonicMs() - kept.lookedMs < TLS_FILES_CHECK_MS)
      return contextIn(kept.loaded);
    return this.#load(policy, source).then(contextIn);
  }

  #inlineContext(policy: UpstreamTls): SecureContext {
    const known = this.#inline.get(policy);
    if (known) return known;
    const { caCertificates } = policy;
    const ca = caCertificates === '' ? getCACertificates('system') : caCertificates;
    const made = contextFrom({ ca, crl: undefined, cert: undefined, key: undefined });
    this.#inline.set(policy, made);
    return made;
  }

  /** Never rejects. */
  #load(policy: UpstreamTls, source: TlsSource): Promise<Loaded> {
    const loading = this.#loading.get(policy);
    if (loading) return loading;
    const started = this.#loaded(policy, source).then((loaded) => {
      this.#tell(this.#kept.get(policy)?.loaded, loaded, source);
      this.#kept.set(policy, { loaded, lookedMs: this.#options.clock.monotonicMs() });
      this.#loading.delete(policy);
      return loaded;
    });
    this.#loading.set(policy, started);
    return started;
  }

  /** What goes wrong is told once, and that it is well again. */
  #tell(before: Loaded | undefined, now: Loaded, source: TlsSource): void {
    const [old, problem] = [before, now].map((one) =>
      one && 'problem' in one ? one.problem.message : undefined,
    );
    if (problem === old) return;
    const of = source.kind === 'credential' ? { secret: source.name } : { ...source, kind: undefined };
    if (problem === undefined) this.#options.log.info('TLS with endpoints has what it needs again', of);
    else this.#options.log.warn('TLS with endpoints lacks what it needs', { ...of, problem });
  }

  async #loaded(policy: UpstreamTls, source: TlsSource): Promise<Loaded> {
    const before = this.#kept.get(policy)?.loaded;
    // A certificate and a key that were read while they were renewed may not belong together: once more, then.
    const first = await this.#attempt(policy, source, before);
    return 'context' in first ? first : await this.#attempt(policy, source, before);
  }

  async #attempt(policy: UpstreamTls, source: TlsSource, before: Loaded | undefined): Promise<Loaded> {
    try {
      const material =
        source.kind === 'files' ? await this.#ofFiles(policy, source) : await this.#ofSecret(policy, source);
      const fingerprint = fingerprintOf(material);
      return before?.fingerprint === fingerprint ? before : { context: contextFrom(material), fingerprint };
    } catch (error) {
      return { problem: new Error(messageOf(error)), fingerprint: undefined };
    }
  }

  async #ofFiles(
    { insecureSkipVerify }: UpstreamTls,
    source: Extract<TlsSource, { readonly kind: 'files' }>,
  ): Promise<Material> {
    const required = async (path: string | undefined) => {
      if (path === undefined) return undefined;
      const text = await this.#options.read(path);
      if (text === undefined) throw new Error(`there is no file ${path}`);
      return text;
    };
    return {
      ca: insecureSkipVerify ? [] : ((await required(source.caCertificates)) ?? getCACertificates('system')),
      crl: insecureSkipVerify ? undefined : await required(source.caCrl),
      cert: await required(source.clientCertificate),
      key: await required(source.privateKey),
    };
  }

  async #ofSecret(
    { insecureSkipVerify }: UpstreamTls,
    { name, isMutual }: Extract<TlsSource, { readonly kind: 'credential' }>,
  ): Promise<Material> {
    const pair = isMutual ? await this.#firstPair(name, OWN_PAIRS) : undefined;
    if (isMutual && !pair) throw new Error(missing(name, OWN_PAIRS));
    if (insecureSkipVerify) return { ca: [], crl: undefined, cert: pair?.first, key: pair?.second };
    // Authorities may stand in a Secret of their own, which then counts alone.
    const authorities =
      (await this.#firstPair(`${name}-cacert`, AUTHORITIES)) ?? (await this.#firstPair(name, AUTHORITIES));
    if (!authorities) throw new Error(missing(name, AUTHORITIES));
    return { ca: authorities.first, crl: authorities.second, cert: pair?.first, key: pair?.second };
  }

  /** Of pairs of keys of a Secret, the first of which what is required is there. */
  async #firstPair(secret: string, pairs: readonly SecretKeys[]) {
    const { read, credentials = CREDENTIALS_FOLDER } = this.#options;
    for (const { keys, needsBoth } of pairs) {
      const [first, second] = await Promise.all(keys.map((key) => read(`${credentials}/${secret}/${key}`)));
      if (first !== undefined && first !== '' && (second !== undefined || !needsBoth))
        return { first, second: second === '' ? undefined : second };
    }
    return undefined;
  }
}

interface SecretKeys {
  readonly keys: readonly [string, string];
  readonly needsBoth: boolean;
}

/** Istio's names, in the order in which they count. */
const OWN_PAIRS: readonly SecretKeys[] = [
  { keys: ['cert', 'key'], needsBoth: true },
  { keys: ['tls.crt', 'tls.key'], needsBoth: true },
];
const AUTHORITIES: readonly SecretKeys[] = [
  { keys: ['cacert', 'crl'], needsBoth: false },
  { keys: ['ca.crt', 'ca.crl'], needsBoth: false },
];

function missing(secret: string, pairs: readonly SecretKeys[]): string {
  const wanted = pairs.map(({ keys: [first, second], needsBoth }) =>
    needsBoth ? `${first} and ${second}` : first,
  );
  return (
    `Secret ${secret} has no ${wanted.join(', or ')}, is not there, or is not mounted: the Gateway names it in ` +
    'annotation ambit.mesh/credentials'
  );
}

function contextIn(loaded: Loaded): SecureContext {
  if ('problem' in loaded) throw loaded.problem;
  return loaded.context;
}

function contextFrom({ ca, crl, cert, key }: Material): SecureContext {
  return createSecureContext({
    ca: [ca].flat(),
    minVersion: 'TLSv1.2',
    ...(crl !== undefined && { crl: listsIn(crl) }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  });
}

/** Node reads the first list of a text alone, and every authority needs one. */
function listsIn(crl: string): string[] {
  const lists = pemBlocks(crl, 'X509 CRL');
  return lists.length === 0 ? [crl] : [...lists];
}

/** Tells whether anything was renewed, without keeping what it was. */
function fingerprintOf({ ca, crl = '', cert = '', key = '' }: Material): string {
  const hash = createHash('sha256');
  for (const text of [...[ca].flat(), '/', crl, '/', cert, '/', key])
    hash.update(`${text.length} `).update(text);
  return hash.digest('base64');
}

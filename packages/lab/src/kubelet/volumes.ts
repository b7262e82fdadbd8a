/**
 * The volumes of a pod as folders on the node: made before its containers start, kept current while they run.
 *
 * Files are replaced by renaming, so that a reader sees the old text or the new. Mode bits, sizes and read-only mounts
 * are not enforced: the lab keeps pods apart by name, not by guard.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Clock } from '@ambit/core/clock';
import { MeshError } from '@ambit/core/errors';
import type { KubeClient } from '@ambit/kube/client';
import type { TokenRequest } from '@ambit/kube/resources/authentication';
import type { Resource } from '@ambit/kube/resource';
import { configMaps, type Pod, secrets, serviceAccounts, type Volume } from '@ambit/kube/resources/core';
import { DEFAULT_TOKEN_SECONDS, MIN_TOKEN_SECONDS, TOKEN_RENEWAL_SHARE } from './limits.ts';
import type { NodeFolder } from './node-folder.ts';

/** What a volume is made from is not there yet. */
export class VolumeError extends MeshError {
  readonly code = 'VOLUME';
  readonly side = 'internal';
  override readonly retryable = true;
}

export interface VolumeSources {
  readonly client: KubeClient;
  readonly folder: NodeFolder;
  readonly clock: Clock;
  /** What pods verify the API server by. */
  readonly apiCaPem: string;
}

/** Mounted into every container of a pod, as Kubernetes' admission adds it. */
export const API_ACCESS_VOLUME: Volume = {
  name: 'kube-api-access',
  projected: {
    sources: [
      { serviceAccountToken: { path: 'token', expirationSeconds: DEFAULT_TOKEN_SECONDS } },
      { configMap: { name: 'kube-root-ca.crt', optional: true } },
    ],
  },
};
export const API_ACCESS_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';

const tokenRequests: Resource<TokenRequest> = {
  ...serviceAccounts,
  kind: 'TokenRequest',
} as unknown as Resource<TokenRequest>;

export class PodVolumes {
  readonly #pod: Pod;
  readonly #sources: VolumeSources;
  /** By file: when to ask for the token again. */
  readonly #renewTokenAtMs = new Map<string, number>();

  constructor(pod: Pod, sources: VolumeSources) {
    this.#pod = pod;
    this.#sources = sources;
  }

  /** The folder (or, for a host path, the file) that stands for a volume; `undefined` if the pod has none of that name. */
  pathOf(volumeName: string): string | undefined {
    const volume = this.#all().find(({ name }) => name === volumeName);
    if (!volume) return undefined;
    if (volume.hostPath) return this.#sources.folder.hostPath(volume.hostPath.path);
    return join(this.#podFolder(), 'volumes', volume.name);
  }

  /**
   * Makes everything, or brings it up to date.
   *
   * @throws {@link VolumeError} naming the ConfigMap or Secret that is missing and not optional.
   */
  async refresh(signal: AbortSignal): Promise<void> {
    for (const volume of this.#all()) await this.#make(volume, signal);
  }

  #all(): readonly Volume[] {
    return [...(this.#pod.spec?.volumes ?? []), API_ACCESS_VOLUME];
  }

  #podFolder(): string {
    return this.#sources.folder.podFolder(this.#pod.metadata.uid ?? '');
  }

  async #make(volume: Volume, signal: AbortSignal): Promise<void> {
    const path = this.pathOf(volume.name) ?? '';
    const isFile = /^(File|Socket)/.test(volume.hostPath?.type ?? '');
    if (!path.startsWith('/proc')) mkdirSync(isFile ? dirname(path) : path, { recursive: true });
    if (volume.configMap) {
      const { name, optional } = volume.configMap;
      syncFiles(path, await this.#configMapFiles(name, optional, signal));
    }
    if (volume.secret) syncFiles(path, await this.#secretFiles(volume.secret, signal));
    if (volume.projected) await this.#project(volume, path, signal);
  }

  async #project(volume: Volume, path: string, signal: AbortSignal): Promise<void> {
    const files = new Map<string, string>();
    for (const { serviceAccountToken, configMap } of volume.projected?.sources ?? []) {
      if (serviceAccountToken) {
        const file = join(path, serviceAccountToken.path);
        const token = await this.#token(file, serviceAccountToken, signal);
        files.set(serviceAccountToken.path, token);
      }
      if (configMap) {
        const found = await this.#configMapFiles(configMap.name, configMap.optional, signal);
        for (const [name, text] of found) files.set(name, text);
      }
    }
    if (volume === API_ACCESS_VOLUME) {
      files.set('ca.crt', this.#sources.apiCaPem);
      files.set('namespace', this.#pod.metadata.namespace ?? 'default');
    }
    syncFiles(path, files);
  }

  async #configMapFiles(
    name: string,
    optional: boolean | undefined,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, string>> {
    const { namespace } = this.#pod.metadata;
    const found = await this.#sources.client.find(configMaps, { name, namespace }, signal);
    if (!found && !optional) throw new VolumeError(`ConfigMap ${namespace}/${name} does not exist`);
    return new Map(Object.entries(found?.data ?? {}));
  }

  async #secretFiles(
    { secretName: name, optional }: NonNullable<Volume['secret']>,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, string>> {
    const { namespace } = this.#pod.metadata;
    const found = await this.#sources.client.find(secrets, { name, namespace }, signal);
    if (!found && !optional) throw new VolumeError(`Secret ${namespace}/${name} does not exist`);
    const entries = Object.entries(found?.data ?? {});
    return new Map(entries.map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]));
  }

  /** The token in `file` while it is young, a new one otherwise. */
  async #token(
    file: string,
    wish: { readonly audience?: string; readonly expirationSeconds?: number },
    signal: AbortSignal,
  ): Promise<string> {
    const { clock, client } = this.#sources;
    const known = textIn(file);
    if (known !== undefined && clock.now() < (this.#renewTokenAtMs.get(file) ?? 0)) return known;
    const { metadata, spec } = this.#pod;
    const seconds = Math.max(MIN_TOKEN_SECONDS, wish.expirationSeconds ?? DEFAULT_TOKEN_SECONDS);
    const request: TokenRequest = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      metadata: { name: '', ...(metadata.namespace !== undefined && { namespace: metadata.namespace }) },
      spec: {
        ...(wish.audience !== undefined && { audiences: [wish.audience] }),
        expirationSeconds: seconds,
        boundObjectRef: {
          kind: 'Pod',
          name: metadata.name,
          ...(metadata.uid !== undefined && { uid: metadata.uid }),
        },
      },
    };
    const name = spec?.serviceAccountName ?? 'default';
    const made = await client.create(tokenRequests, request, { name, subresource: 'token' }, signal);
    if (!made.status) throw new VolumeError(`no token for ServiceAccount ${metadata.namespace}/${name}`);
    this.#renewTokenAtMs.set(file, clock.now() + seconds * 1_000 * TOKEN_RENEWAL_SHARE);
    return made.status.token;
  }
}

/** Makes `folder` hold exactly `files`. */
function syncFiles(folder: string, files: ReadonlyMap<string, string>): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of files) {
    const path = join(folder, name);
    if (textIn(path) === text) continue;
    mkdirSync(dirname(path), { recursive: true });
    const next = join(folder, `..${name.replaceAll('/', '_')}.next`);
    writeFileSync(next, text, { mode: 0o644 });
    renameSync(next, path);
  }
  for (const name of readdirSync(folder)) {
    const wanted = [...files.keys()].some((file) => file === name || file.startsWith(`${name}/`));
    if (!wanted) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

function textIn(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * The OpenAPI documents that kubectl validates, merges and explains by: version 2 in one, version 3 by group version.
 *
 * They are made when first asked for and kept until a CRD changes.
 */
import { createHash } from 'node:crypto';
import type { JsonObject } from '../json.ts';
import type { ResourceRegistry } from '../kinds/registry.ts';
import { groupVersionOf } from '../kinds/resource.ts';
import { groupVersions } from './discovery.ts';
import { openApiV2 } from './openapi-v2.ts';
import { openApiV2Protobuf } from './openapi-protobuf.ts';
import { openApiV3 } from './openapi-v3.ts';

export class OpenApi {
  readonly #registry: ResourceRegistry;
  readonly #made = new Map<string, Buffer>();
  #generation = -1;

  constructor(registry: ResourceRegistry) {
    this.#registry = registry;
  }

  v2Json(): Buffer {
    return this.#cached('v2', () => json(openApiV2(this.#registry)));
  }

  v2Protobuf(): Buffer {
    return this.#cached('v2-protobuf', () => openApiV2Protobuf(openApiV2(this.#registry)));
  }

  v3Index(): Buffer {
    return this.#cached('v3', () => {
      const paths: JsonObject = {};
      for (const { group, version } of groupVersions(this.#registry)) {
        const path = group === '' ? `api/${version}` : `apis/${group}/${version}`;
        const hash = createHash('sha256')
          .update(this.v3Document(path) ?? '')
          .digest('hex')
          .toUpperCase();
        paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` };
      }
      return json({ paths });
    });
  }

  /** @param path - `api/v1` or `apis/apps/v1`; `undefined` for one that is not served. */
  v3Document(path: string): Buffer | undefined {
    const match = /^(?:api\/([^/]+)|apis\/([^/]+)\/([^/]+))$/.exec(path);
    const [group, version] = [match?.[2] ?? '', match?.[1] ?? match?.[3] ?? ''];
    if (!match || !this.#registry.hasGroupVersion(group, version)) return undefined;
    return this.#cached(`v3/${groupVersionOf({ group, version })}`, () =>
      json(openApiV3(this.#registry, group, version)),
    );
  }

  #cached(key: string, make: () => Buffer): Buffer {
    if (this.#generation !== this.#registry.generation) {
      this.#made.clear();
      this.#generation = this.#registry.generation;
    }
    const known = this.#made.get(key);
    if (known) return known;
    const made = make();
    this.#made.set(key, made);
    return made;
  }
}

const json = (document: JsonObject): Buffer => Buffer.from(JSON.stringify(document));

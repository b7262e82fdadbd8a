/** Jobs, with the fields that suites read; no part of the product reads them. */
import type { KubeObject, Resource } from '@ambit/kube/resource';

export interface Job extends KubeObject {
  readonly status?: { readonly succeeded?: number; readonly failed?: number };
}

export const jobs: Resource<Job> = {
  group: 'batch',
  version: 'v1',
  kind: 'Job',
  plural: 'jobs',
  namespaced: true,
};

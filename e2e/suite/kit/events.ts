/** Events, with the fields that suites read; no part of the product reads them. */
import type { KubeObject, Resource } from '@ambit/kube/resource';

export interface Event extends KubeObject {
  readonly reason?: string;
  readonly message?: string;
}

export const events: Resource<Event> = {
  group: '',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  namespaced: true,
};

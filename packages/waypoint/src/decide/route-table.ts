/** The routes of one port of a service, indexed for requests. Built by the store, again whenever one of them changes. */
import type { HttpRoute } from '../resources/http-route.ts';

export interface RouteTable {
  /** All of them, as they compete. None: requests go to the service itself. */
  readonly routes: readonly HttpRoute[];
}

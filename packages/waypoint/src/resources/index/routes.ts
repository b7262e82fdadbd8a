/** Routes by the services that are their parents, and the tables made of them. */
import type { ServiceKey } from '@ambit/model/address';
import { buildRouteTable, type RouteTable } from '../../decide/route-table.ts';
import type { HttpRoute } from '../http-route.ts';
import { byAge } from '../origin.ts';
import type { ServicePort } from '../service-port.ts';
import type { Touched } from '../store.ts';
import type { StreamRoute } from '../stream-route.ts';

export class RouteIndex {
  readonly #http = new ByParent<HttpRoute>();
  readonly #streams = new ByParent<StreamRoute>();
  /** Kept apart from what is joined with policies: a policy that changes does not cost a table. */
  readonly #tables = new Map<ServiceKey, Map<number, RouteTable>>();

  /** Of what has no routes. */
  readonly noTable: RouteTable = buildRouteTable('/', 0, []);

  replaceHttp(held: HttpRoute | undefined, route: HttpRoute | undefined, touched: Touched): void {
    for (const service of this.#http.replace(held, route)) {
      this.#tables.delete(service);
      touched.services.add(service);
    }
  }

  replaceStream(held: StreamRoute | undefined, route: StreamRoute | undefined, touched: Touched): void {
    for (const service of this.#streams.replace(held, route)) touched.services.add(service);
  }

  table(service: ServiceKey, port: number): RouteTable {
    const ports = this.#tables.get(service) ?? new Map<number, RouteTable>();
    this.#tables.set(service, ports);
    const table = ports.get(port) ?? buildRouteTable(service, port, this.#http.of(service));
    ports.set(port, table);
    return table;
  }

  forgetTables(): void {
    this.#tables.clear();
  }

  streams(service: ServiceKey, port: number): readonly StreamRoute[] {
    return this.#streams
      .of(service)
      .filter(({ parents }) => parents.some((parent) => isParent(parent, service, port)))
      .toSorted((a, b) => byAge(a.origin, b.origin));
  }
}

function isParent(parent: ServicePort, service: ServiceKey, port: number): boolean {
  return parent.service === service && (parent.port === 0 || parent.port === port);
}

class ByParent<Route extends { readonly parents: readonly ServicePort[] }> {
  readonly #routes = new Map<ServiceKey, Set<Route>>();

  /** @returns The services that either has as a parent. */
  replace(held: Route | undefined, route: Route | undefined): ReadonlySet<ServiceKey> {
    const touched = new Set<ServiceKey>();
    for (const { service } of held?.parents ?? []) {
      touched.add(service);
      const routes = this.#routes.get(service);
      if (held) routes?.delete(held);
      if (routes?.size === 0) this.#routes.delete(service);
    }
    for (const { service } of route?.parents ?? []) {
      touched.add(service);
      const routes = this.#routes.get(service) ?? new Set<Route>();
      if (route) this.#routes.set(service, routes.add(route));
    }
    return touched;
  }

  of(service: ServiceKey): readonly Route[] {
    return [...(this.#routes.get(service) ?? [])];
  }
}

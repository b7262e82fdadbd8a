/**
 * Where a redirect leads, as the Gateway API has it: what it does not name stays as it was requested, and the port is the
 * scheme's if it names one, else the service's; 80 and 443 are left out where they go without saying.
 *
 * A VirtualService keeps the port that the client wrote in Host instead.
 */
import type { Redirect } from '../resources/http-route.ts';
import { changePath } from './change-path.ts';
import { type RequestView, splitAuthority } from './request-view.ts';

export interface RedirectedRequest {
  readonly request: RequestView;
  /** Of the service. */
  readonly port: number;
  readonly matchedPrefixLength: number;
  /** The rules of VirtualService. */
  readonly keepsAuthority: boolean;
}

const WELL_KNOWN = { http: 80, https: 443 } as const;

export function redirectLocation(redirect: Redirect, from: RedirectedRequest): string {
  const { request, matchedPrefixLength } = from;
  const scheme = redirect.scheme ?? request.scheme;
  const host = redirect.hostname ?? splitAuthority(request.authority).host;
  const path = redirect.path ? changePath(redirect.path, request.path, matchedPrefixLength) : request.path;
  const port = portOf(redirect, from);
  const suffix = port === undefined || port === WELL_KNOWN[scheme] ? '' : `:${port}`;
  return `${scheme}://${host}${suffix}${path}`;
}

function portOf(
  redirect: Redirect,
  { request, port, keepsAuthority }: RedirectedRequest,
): number | undefined {
  if (redirect.port !== 0) return redirect.port;
  if (redirect.portFromRequest) return port;
  if (!keepsAuthority) return redirect.scheme === undefined ? port : WELL_KNOWN[redirect.scheme];
  if (redirect.hostname !== undefined) return undefined;
  const written = splitAuthority(request.authority).port;
  const isSchemes = redirect.scheme !== undefined && written === WELL_KNOWN[request.scheme];
  return isSchemes ? undefined : written;
}

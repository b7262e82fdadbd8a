import { expect, test } from '@jest/globals';
import { formatMetrics, MetricRegistry } from '@ambit/core/metrics';
import { MAX_FAILURE_REASONS } from '../limits.ts';
import { FailedRequests, reasonIn } from './failed-requests.ts';

test.each([
  ['route_not_found', 'route_not_found'],
  ['rbac_access_denied_matched_policy[shop/p]', 'rbac_access_denied_matched_policy'],
  ['rbac_access_denied_matched_policy[none]', 'rbac_access_denied_matched_policy'],
  ['jwt_authn_access_denied{Jwt_is_expired}', 'jwt_authn_access_denied{Jwt_is_expired}'],
  [
    'jwt_authn_access_denied{Jwt_header_[alg]_field_is_required_and_must_be_a_string}',
    'jwt_authn_access_denied{Jwt_header_[alg]_field_is_required_and_must_be_a_string}',
  ],
  [
    `jwt_authn_access_denied{Jwks_is_an_invalid_JSON:_Unexpected_token_'<',_"<a}b"_is_not}`,
    'jwt_authn_access_denied{Jwks_is_an_invalid_JSON}',
  ],
  ['http1.codec_error{two-hosts}', 'http1.codec_error{two-hosts}'],
])('%s is counted as %s', (details, want) => expect(reasonIn(details)).toBe(want));

function setup() {
  const registry = new MetricRegistry();
  const failed = new FailedRequests(registry);
  const lines = () =>
    formatMetrics(registry.collect())
      .split('\n')
      .filter((line) => line.startsWith('ambit_waypoint_failed_requests_total'));
  return { failed, lines };
}

test('what was answered by an endpoint or a route has not failed', () => {
  const { failed, lines } = setup();
  for (const details of ['via_upstream', 'direct_response', 'cors_response']) failed.ended(details);
  expect(lines()).toEqual([]);
  failed.ended('route_not_found');
  failed.ended('route_not_found');
  expect(lines()).toEqual(['ambit_waypoint_failed_requests_total{reason="route_not_found"} 2']);
});

test('reasons are limited, and those beyond are counted together', () => {
  const { failed, lines } = setup();
  for (let i = 0; i < MAX_FAILURE_REASONS + 5; i++) failed.ended(`reason_${i}`);
  failed.ended('reason_0');
  expect(lines()).toHaveLength(MAX_FAILURE_REASONS + 1);
  expect(lines()).toContain('ambit_waypoint_failed_requests_total{reason="reason_0"} 2');
  expect(lines()).toContain('ambit_waypoint_failed_requests_total{reason="(others)"} 5');
});

import { describe, expect, test } from '@jest/globals';
import { describeSpan, spansIn, type ZipkinSpan } from './spans.ts';

const SPAN: ZipkinSpan = {
  traceId: 'a'.repeat(32),
  id: 'b'.repeat(16),
  name: 'api.shop.svc.cluster.local:80/*',
  duration: 1_234,
  localEndpoint: { serviceName: 'waypoint.shop' },
  tags: { 'http.method': 'GET', 'http.url': 'http://api.shop/headers', 'http.status_code': '200' },
};

describe('spans of an answer', () => {
  test('come after its status', () => expect(spansIn(`200 ${JSON.stringify([SPAN])}\n`)).toEqual([SPAN]));
  test.each(['', '404 no trace', '200 [{"half":', 'connect ECONNREFUSED'])('are none in %j', (output) => {
    expect(spansIn(output)).toEqual([]);
  });
});

test('a span is told in one line, with what is missing as a question mark', () => {
  expect(describeSpan(SPAN)).toBe(
    `span ${SPAN.id} of waypoint.shop: api.shop.svc.cluster.local:80/*, GET http://api.shop/headers, status 200, from ? to ?, 1.2 ms`,
  );
});

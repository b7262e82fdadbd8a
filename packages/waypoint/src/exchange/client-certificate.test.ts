import { expect, test } from '@jest/globals';
import { clientCertificateField } from './client-certificate.ts';

const fieldOf = clientCertificateField('spiffe://td/ns/shop/sa/waypoint');

test.each([
  ['spiffe://td/ns/shop/sa/ann', 'URI=spiffe://td/ns/shop/sa/ann'],
  ['spiffe://td/ns/a;URI=spiffe://td/ns/b', 'URI="spiffe://td/ns/a;URI=spiffe://td/ns/b"'],
  ['spiffe://td/"x,y"', 'URI="spiffe://td/\\"x,y\\""'],
])('%s', (client, want) => {
  expect(fieldOf(client)).toEqual(['x-forwarded-client-cert', `By=spiffe://td/ns/shop/sa/waypoint;${want}`]);
});

test('of a client that proved nothing there is nothing to tell', () => {
  expect(fieldOf(undefined)).toEqual([]);
});

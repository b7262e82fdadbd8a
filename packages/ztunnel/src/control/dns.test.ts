import { expect, test } from '@jest/globals';
import { searchDomainsOf } from './dns.ts';

test.each<[string, string, readonly string[]]>([
  ['none', 'nameserver 10.0.0.1\n', []],
  [
    'a list',
    'search shop.svc.cluster.local  SVC.cluster.local.\tcluster.local\n',
    ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local'],
  ],
  ['the last line wins', 'search a.b\ndomain c.d\n', ['c.d']],
  ['a comment is none', '# search a.b\n', []],
])('search domains: %s', (_, text, want) => expect(searchDomainsOf(text)).toEqual(want));

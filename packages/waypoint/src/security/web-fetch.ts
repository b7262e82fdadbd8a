/**
 * Documents of the web, as `fetch` gets them, but from nowhere that this pod or its node alone can reach: whose key sets are
 * fetched is for anybody to write who may write a RequestAuthentication, and neither the pages of this process nor what a
 * cloud tells its machines is theirs to ask for.
 *
 * An address is looked at when a connection is made, after its name was resolved, so that no name leads there either.
 */
import { lookup, type LookupAddress } from 'node:dns';
import { get as getInClear } from 'node:http';
import { get as getOverTls } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { Readable } from 'node:stream';
import { mayBeAsked } from '../decide/outside.ts';
import { FetchError, type WebFetch } from './fetch-document.ts';

/** Statuses of a whole answer; a server may write anything from 0 to 999. */
const FIRST_STATUS = 200;
const LAST_STATUS = 599;
/** Statuses whose answers have no body. */
const BODILESS: ReadonlySet<number> = new Set([204, 205, 304]);

/** @param mayAsk - Whether a connection may be made to this address. */
export function webFetcher(mayAsk: (ip: string) => boolean = mayBeAsked): WebFetch {
  const guarded = lookupWithin(mayAsk);
  return (url, { signal, headers }) =>
    new Promise((resolve, reject) => {
      const host = url.hostname.replace(/^\[|\]$/g, '');
      if (isIP(host) !== 0 && !mayAsk(host)) {
        reject(outOfBounds(host));
        return;
      }
      const get = url.protocol === 'https:' ? getOverTls : getInClear;
      const options = { signal, lookup: guarded, headers: { ...headers, 'accept-encoding': 'identity' } };
      get(url, options, (answer) => {
        const { statusCode: status = 500, headers: given } = answer;
        if (status < FIRST_STATUS || status > LAST_STATUS) {
          answer.destroy();
          reject(new FetchError(`${url.href} answers ${status}`));
          return;
        }
        const isBodiless = BODILESS.has(status);
        if (isBodiless) answer.resume();
        const location = given.location === undefined ? {} : { location: given.location };
        resolve(new Response(isBodiless ? null : Readable.toWeb(answer), { status, headers: location }));
      }).on('error', reject);
    });
}

function outOfBounds(what: string): FetchError {
  return new FetchError(`${what} is an address that no document is fetched from`);
}

/** All addresses of a name have to be such as may be asked: which one is dialled is not ours to say. */
function lookupWithin(mayAsk: (ip: string) => boolean): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found: readonly LookupAddress[]) => {
      if (error) {
        callback(error, '', 0);
        return;
      }
      const [first] = found;
      const wrong = found.find(({ address }) => !mayAsk(address));
      if (!first) callback(new FetchError(`${hostname} has no address`), '', 0);
      else if (wrong) callback(outOfBounds(`${hostname} (${wrong.address})`), '', 0);
      else if (options.all) callback(null, [...found]);
      else callback(null, first.address, first.family);
    });
  };
}

/** The pages of an admin port: found by path, and listed at `/`. */
import type { HttpHandler, HttpRequest, HttpResponse } from '../http-server.ts';

export interface AdminPage {
  readonly path: string;
  /** For the list: a few words. */
  readonly doc: string;
  readonly handle: HttpHandler;
}

/** @param program - Heads the list. */
export function adminPages(program: string, pages: readonly AdminPage[]): HttpHandler {
  const byPath = new Map(pages.map((page) => [page.path, page]));
  return (request: HttpRequest) => {
    if (request.path === '/') return index(program, pages);
    const page = byPath.get(request.path);
    return page ? page.handle(request) : { status: 404, body: 'Not Found\n' };
  };
}

export function json(body: string): HttpResponse {
  return { status: 200, headers: { 'content-type': 'application/json' }, body };
}

/** Only POST, since it changes something: asks the process to drain and end. */
export function quitPage(shutdown: (reason: string) => void): AdminPage {
  return {
    path: '/quitquitquit',
    doc: 'POST: shut down gracefully',
    handle: ({ method }) => {
      if (method !== 'POST') return { status: 405, body: `Invalid HTTP method ${method}, POST required\n` };
      shutdown('/quitquitquit');
      return { status: 200, body: 'shutdown now\n' };
    },
  };
}

function index(program: string, pages: readonly AdminPage[]): HttpResponse {
  const rows = pages.map(({ path, doc }) => `<li><a href="${path}">${path}</a>: ${doc}</li>`);
  return {
    status: 200,
    headers: { 'content-type': 'text/html; charset=utf-8' },
    body: `<!DOCTYPE html>\n<title>${program}</title>\n<h1>${program}</h1>\n<ul>\n${rows.join('\n')}\n</ul>\n`,
  };
}

import type { IncomingMessage, ServerResponse } from 'node:http';

export interface ServerOptions {
  /** The folder. */
  root: string;
  /** 0, the default, takes a free one. */
  port?: number;
  /** Take a free port when `port` is taken, instead of failing. */
  fallback?: boolean;
  /** Send COOP and COEP; default true. Without them every origin may read what is served. */
  isolated?: boolean;
  /** The path that `/` redirects to; default: none, and `/` is index.html. */
  home?: string;
  /** Sent with every answer. */
  headers?: Record<string, string>;
  /** May answer first: true when it did. */
  onRequest?: (request: IncomingMessage, response: ServerResponse, url: URL) => boolean | Promise<boolean>;
}

export interface RunningServer {
  /** Ends with a slash. */
  url: string;
  port: number;
  close(): Promise<void>;
}

export function startServer(options: ServerOptions): Promise<RunningServer>;

/** What a `Range` header asks of `size` bytes: undefined for the whole file, null when it cannot be satisfied. */
export function parseRange(header: string | undefined, size: number): { start: number; end: number } | null | undefined;

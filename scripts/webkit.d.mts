export interface FoundWebKit {
  driver?: string | undefined;
  browser?: string | undefined;
  xvfb?: string | undefined;
  /** What is not there, in words; undefined when WebKit can be started. */
  missing: string | undefined;
}

export function findWebKit(): FoundWebKit;

/** Starts WebKit with an empty profile. Close what it returns, also after a failure. */
export function startWebKit(options?: {
  width?: number;
  height?: number;
  scriptTimeoutMs?: number;
}): Promise<WebKitPage>;

/** One window of the browser. */
export interface WebKitPage {
  readonly capabilities: Readonly<Record<string, unknown>>;
  /** Opens an address and resolves when the page has loaded. */
  open(url: string): Promise<void>;
  /**
   * Runs a function, or the text of one's body, in the page. A promise is waited for; what it rejects with is thrown here.
   * Arguments and result pass as JSON; undefined comes back as null.
   */
  evaluate<Args extends readonly unknown[], Result>(
    script: ((...args: Args) => Result) | string,
    ...args: Args
  ): Promise<Awaited<Result>>;
  /** Resolves to the first truthy value of `script`, asked for every 200 ms. */
  waitFor<Result>(
    script: (() => Result) | string,
    options?: { timeoutMs?: number; args?: readonly unknown[] },
  ): Promise<NonNullable<Awaited<Result>>>;
  /** A PNG of the window. */
  screenshot(): Promise<Buffer>;
  resize(width: number, height: number): Promise<void>;
  /** Ends the browser, the driver and the display. */
  close(): Promise<void>;
}

// A mistake in the command line itself: shown with the way to the help, exit code 2. What fails later is a WpError.

export class UsageError extends Error {
  override readonly name = 'UsageError';

  constructor(
    message: string,
    /** The command whose help is to be pointed at; undefined for the program's own. */
    readonly command?: string,
  ) {
    super(message);
  }
}

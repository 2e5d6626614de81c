// Entry point of the command line. The commands are in run.ts; here they meet the process.

import { loadModel } from '../runtime/index.ts';
import { processTerminal } from './process-terminal.ts';
import { run } from './run.ts';

// A reader that went away (`wp-models chat | head`) is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const terminal = processTerminal();
process.exitCode = await run(process.argv.slice(2), terminal, loadModel);
terminal.close();

// The real terminal: stdin, stdout and stderr of this process.

import { createInterface, type Interface } from 'node:readline';
import type { Terminal } from './terminal.ts';

export function processTerminal(): Terminal {
  const { stdin, stdout, stderr } = process;
  let lines: Interface | undefined;
  let interrupt: (() => void) | undefined;
  let statusShown = false;

  const onSignal = (): void => {
    if (interrupt) interrupt();
    // 128 + SIGINT, as shells count it.
    else process.exit(130);
  };
  process.on('SIGINT', onSignal);

  /** readline turns the terminal raw, so Ctrl-C reaches it instead of becoming a signal. */
  function open(): Interface {
    if (!lines) {
      lines = createInterface({ input: stdin, output: stdout, terminal: true, historySize: 100 });
      lines.on('SIGINT', onSignal);
    }
    return lines;
  }

  return {
    isInteractive: Boolean(stdin.isTTY && stdout.isTTY),
    write: (text) => void stdout.write(text),
    note: (text) => void stderr.write(text),
    status(text) {
      if (!stderr.isTTY || (text === '' && !statusShown)) return;
      stderr.write(`\r\x1b[K${text}`);
      statusShown = text !== '';
    },
    readLine(prompt) {
      const reader = open();
      return new Promise((resolve) => {
        const finish = (line: string | undefined): void => {
          reader.off('close', onClose);
          interrupt = undefined;
          resolve(line);
        };
        const onClose = (): void => finish(undefined);
        reader.once('close', onClose);
        // At the prompt, Ctrl-C leaves.
        interrupt = () => {
          lines = undefined;
          reader.close();
        };
        reader.question(prompt, finish);
      });
    },
    async readAll() {
      stdin.setEncoding('utf8');
      let text = '';
      for await (const piece of stdin) text += String(piece);
      return text;
    },
    onInterrupt(action) {
      interrupt = action;
    },
    close() {
      process.off('SIGINT', onSignal);
      lines?.close();
      lines = undefined;
    },
  };
}

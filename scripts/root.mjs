// The project's root, with which every script starts, wherever it is called from.

import { fileURLToPath } from 'node:url';
import { resolve } from 'node:path';

export const root = resolve(fileURLToPath(new URL('..', import.meta.url)));

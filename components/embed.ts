// Registers <wp-embed>: a script of its own, so that a page with a chat does not carry it.

import { define } from './define.ts';
import { WpEmbed } from './wp-embed.ts';
import { WpModel } from './wp-model.ts';

define('wp-model', WpModel); // first: what stands inside it asks it for its model
define('wp-embed', WpEmbed);

export { WpEmbed };
export type { SearchResult } from './wp-embed.ts';

// Registers <wp-vision>: a script of its own, so that a page with a chat does not carry it.

import { define } from './define.ts';
import { WpModel } from './wp-model.ts';
import { WpVision } from './wp-vision.ts';

define('wp-model', WpModel); // first: what stands inside it asks it for its model
define('wp-vision', WpVision);

export { WpVision };
export type { VisionTask } from './internal/ask-vision.ts';
export type { VisionState } from './wp-vision.ts';

// Registers the elements of wp-models: what a page loads with one <script type="module">. Importing it in Node or
// during server-side rendering registers nothing there and does not throw.

import { define } from './define.ts';
import { MessageElement } from './internal/message.ts';
import { WpChat } from './wp-chat.ts';
import { WpMemoryMeter } from './wp-memory-meter.ts';
import { WpModel } from './wp-model.ts';

define('wp-model', WpModel); // first: what stands inside it asks it for its model
define('wp-message', MessageElement);
define('wp-chat', WpChat);
define('wp-memory-meter', WpMemoryMeter);

export { WpChat, WpMemoryMeter, WpModel };
export type { ModelSession, ModelStatus, SessionState } from './model-session.ts';
export { modelContext } from './model-context.ts';
export type { MessageDetail, StateDetail, WpEventDetails, WpEventMap } from './events.ts';

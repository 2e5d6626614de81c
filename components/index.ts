// Registers the elements of wp-models: what a page loads with one <script type="module">. Importing it in Node or
// during server-side rendering registers nothing there and does not throw.

export { WpModel } from './wp-model.ts';
export { WpChat } from './wp-chat.ts';
export { WpMemoryMeter } from './wp-memory-meter.ts';
export type { ModelSession, ModelStatus, SessionState } from './model-session.ts';
export { modelContext } from './model-context.ts';
export type { MessageDetail, StateDetail, WpEventDetails, WpEventMap } from './events.ts';

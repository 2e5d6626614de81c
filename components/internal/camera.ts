// The camera as a reactive controller: on, off, and off by itself when the element leaves the page.

import type { ReactiveController, ReactiveControllerHost } from 'lit';
import { WpError } from '../../runtime/index.ts';

export class Camera implements ReactiveController {
  stream: MediaStream | undefined;
  #wanted = false;

  constructor(private readonly host: ReactiveControllerHost) {
    host.addController(this);
  }

  /** Whether this page could ask for one. */
  static get exists(): boolean {
    return typeof navigator !== 'undefined' && typeof navigator.mediaDevices?.getUserMedia === 'function';
  }

  hostDisconnected(): void {
    this.stop();
  }

  /** Resolves when pictures come, or `stop` was called meanwhile. Throws `backend-unavailable` when the person or the page forbids it. */
  async start(): Promise<void> {
    this.#wanted = true;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
      if (!this.#wanted) {
        for (const track of stream.getTracks()) track.stop();
        return;
      }
      this.stream = stream;
      for (const track of stream.getTracks()) track.addEventListener('ended', () => this.stop());
      this.host.requestUpdate();
    } catch (thrown) {
      this.#wanted = false;
      throw new WpError(
        'backend-unavailable',
        `The camera cannot be used: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
        'Allow this page to use it, and check that no other program does; pages need https for it.',
        { actual: thrown instanceof Error ? thrown.name : undefined },
        { cause: thrown },
      );
    }
  }

  stop(): void {
    this.#wanted = false;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = undefined;
    this.host.requestUpdate();
  }
}

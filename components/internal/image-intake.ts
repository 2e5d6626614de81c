// How a person gives an image: dropped on the element, pasted, or chosen from a dialogue. A reactive controller; what it found
// goes to `take`.

import type { ReactiveController, ReactiveControllerHost } from 'lit';
import { WpError, type ImageSource } from '../../runtime/index.ts';

interface IntakeOptions {
  take: (image: ImageSource) => void;
  /** What was dropped is no image. */
  refuse: (error: WpError) => void;
}

export class ImageIntake implements ReactiveController {
  /** Something is held over the element. */
  isDraggedOver = false;

  constructor(
    private readonly host: ReactiveControllerHost & HTMLElement,
    private readonly options: IntakeOptions,
  ) {
    host.addController(this);
  }

  hostConnected(): void {
    document.addEventListener('paste', this.#pasted);
  }

  hostDisconnected(): void {
    document.removeEventListener('paste', this.#pasted);
  }

  readonly dragged = (event: DragEvent): void => {
    event.preventDefault(); // otherwise the browser opens the file
    const { currentTarget, relatedTarget, type } = event;
    const isInside =
      currentTarget instanceof Node && relatedTarget instanceof Node && currentTarget.contains(relatedTarget);
    this.isDraggedOver = type === 'dragover' || (type === 'dragleave' && isInside);
    this.host.requestUpdate();
  };

  readonly dropped = (event: DragEvent): void => {
    this.dragged(event);
    const { dataTransfer } = event;
    const image = imageIn(dataTransfer) ?? dataTransfer?.files[0] ?? addressIn(dataTransfer);
    if (image !== undefined) this.options.take(image);
    else {
      const message = 'What was dropped holds no image.';
      this.options.refuse(
        new WpError('unsupported-format', message, 'Drop the file of an image, or an image of a page.'),
      );
    }
  };

  readonly chosen = (event: Event): void => {
    const input = event.target as HTMLInputElement;
    const [file] = input.files ?? [];
    if (file) this.options.take(file);
    input.value = ''; // the same file can be chosen again
  };

  /** Pasted here, or while nothing on the page has the focus; text fields keep what is pasted into them. */
  readonly #pasted = (event: ClipboardEvent): void => {
    const isHere = event.composedPath().includes(this.host) || document.activeElement === document.body;
    const image = isHere && !event.defaultPrevented ? imageIn(event.clipboardData) : undefined;
    if (!image) return;
    event.preventDefault();
    this.options.take(image);
  };
}

const imageIn = (data: DataTransfer | null): File | undefined =>
  [...(data?.files ?? [])].find(({ type }) => type.startsWith('image/'));

/** Of an image that was dragged from a page. */
const addressIn = (data: DataTransfer | null): string | undefined =>
  data
    ?.getData('text/uri-list')
    .split(/\r?\n/)
    .find((line) => line && !line.startsWith('#'));

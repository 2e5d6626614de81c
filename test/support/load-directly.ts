// `loadModel` without a worker between: the host and the page's side of a model in one thread, from the sources.

import { RuntimeHost } from '../../runtime/host.ts';
import { WpError } from '../../runtime/errors.ts';
import type { LoadOptions, Model } from '../../runtime/index.ts';
import type { LoadEvent } from '../../runtime/protocol/messages.ts';
import { RemoteModel } from '../../runtime/remote-model.ts';

const host = new RuntimeHost();
type Link = ConstructorParameters<typeof RemoteModel>[0];
const link: Link = {
  service: host as unknown as Link['service'],
  died: new Promise(() => undefined),
  hold: () => () => undefined,
};

export async function loadDirectly(
  source: string,
  { precision = 'auto', backend = 'auto', ...options }: LoadOptions,
): Promise<Model> {
  const { port1, port2 } = new MessageChannel();
  try {
    const last = new Promise<LoadEvent>((resolve) => {
      port1.onmessage = ({ data }: MessageEvent<LoadEvent>) => {
        if (data.type !== 'progress') resolve(data);
      };
    });
    const { contextLength, threads, memoryLimitBytes, headers } = options;
    const wishes = { contextLength, threads, memoryLimitBytes, headers };
    await host.load({ source, embeddedBase: '', precision, backend, ...wishes, tuning: 'off' }, port2);
    const event = await last;
    if (event.type === 'failed') throw WpError.fromData(event.error);
    if (event.type !== 'loaded') throw new Error(event.type);
    return new RemoteModel(link, event.model, event.info);
  } finally {
    port1.close();
  }
}

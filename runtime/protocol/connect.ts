// How the two sides meet: the page sends one message with a port in it; Comlink then speaks over that port, in browsers
// and in Node alike (a worker_threads worker is not an EventTarget, a MessagePort is).

export interface ConnectMessage {
  type: 'wp-connect';
  port: MessagePort;
}

export function isConnectMessage(data: unknown): data is ConnectMessage {
  return typeof data === 'object' && data !== null && (data as ConnectMessage).type === 'wp-connect';
}

/**
 * One event stream per browser: every tab that shows the same stream shares the one EventSource that lives here, since a browser
 * gives a server six connections at most. A tab says {open: url} and hears {name, id, data} and {line}; when the last tab of a
 * stream is gone the stream is closed.
 */
// The types of a page are loaded for the whole folder; this file runs in a shared worker.
const scope = globalThis as unknown as { onconnect: ((event: MessageEvent) => void) | null };

interface Stream {
  source: EventSource;
  ports: Map<MessagePort, number>;
  line: "up" | "lost";
}

const NAMES = ["changed", "hold", "toast", "bye"];
const SILENT_MS = 45_000;
const streams = new Map<string, Stream>();

function open(url: string): Stream {
  const source = new EventSource(url, { withCredentials: true });
  const stream: Stream = { source, ports: new Map(), line: "lost" };
  const tell = (message: unknown): void => {
    for (const port of stream.ports.keys()) port.postMessage(message);
  };
  source.onopen = () => tell({ line: (stream.line = "up") });
  source.onerror = () => {
    tell({ line: (stream.line = "lost"), ended: source.readyState === EventSource.CLOSED });
    // A closed source (signed out, or the server answered with an error) does not try again by itself.
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(() => {
        if (streams.get(url) !== stream) return;
        streams.delete(url);
        if (stream.ports.size) {
          const next = open(url);
          next.ports = stream.ports;
        }
      }, 5_000);
    }
  };
  for (const name of NAMES)
    source.addEventListener(name, (event) => tell({ name, id: (event as MessageEvent).lastEventId, data: (event as MessageEvent).data as string }));
  streams.set(url, stream);
  return stream;
}

function leave(port: MessagePort): void {
  for (const [url, stream] of streams) {
    if (!stream.ports.delete(port) || stream.ports.size) continue;
    stream.source.close();
    streams.delete(url);
  }
}

scope.onconnect = (event) => {
  const port = event.ports[0];
  if (!port) return;
  port.onmessage = ({ data }: MessageEvent<{ open?: string; alive?: true; close?: true }>) => {
    if (data.open) {
      const stream = streams.get(data.open) ?? open(data.open);
      stream.ports.set(port, Date.now());
      port.postMessage({ line: stream.line });
    }
    if (data.alive) for (const stream of streams.values()) if (stream.ports.has(port)) stream.ports.set(port, Date.now());
    if (data.close) leave(port);
  };
};

// A tab that crashed says no goodbye; tabs that live say so every 15 s.
setInterval(() => {
  for (const stream of [...streams.values()])
    for (const [port, seen] of [...stream.ports]) if (Date.now() - seen > SILENT_MS) leave(port);
}, 15_000);

export {};

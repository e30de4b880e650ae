/** The page's end of the event stream: through the shared worker, or by itself where there is none. */
declare const STREAM_WORKER: string;

/** One event of the stream. */
export interface Heard {
  name: string;
  id: string;
  data: string;
}
/** `ended`: the server refused the stream (signed out, or no right any more). */
type FromWorker = Partial<Heard> & { line?: "up" | "lost"; ended?: boolean };

/** Opens the stream; `onLine` hears whether it is up, at each change. Ends with the page. */
export function listen(url: string, onEvent: (event: Heard) => void, onLine: (line: "up" | "lost", ended: boolean) => void): void {
  const take = (message: FromWorker): void => {
    if (message.line) onLine(message.line, message.ended ?? false);
    if (message.name) onEvent({ name: message.name, id: message.id ?? "", data: message.data ?? "" });
  };
  const absolute = new URL(url, location.href).href;
  let worker: SharedWorker | undefined;
  try {
    worker = new SharedWorker(new URL(STREAM_WORKER, import.meta.url), { name: "gatehouse-stream" });
  } catch {
    worker = undefined; // No shared workers here (some phones), or forbidden: a stream of one's own.
  }
  if (!worker) return alone(absolute, take);
  const { port } = worker;
  worker.onerror = () => alone(absolute, take);
  port.onmessage = ({ data }: MessageEvent<FromWorker>) => take(data);
  const hello = (): void => port.postMessage({ open: absolute });
  hello();
  setInterval(() => port.postMessage({ alive: true }), 15_000);
  addEventListener("pagehide", () => port.postMessage({ close: true }));
  addEventListener("pageshow", (event) => {
    if (event.persisted) hello();
  });
  // A tab that slept may have been given up.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) hello();
  });
}

function alone(url: string, take: (message: FromWorker) => void): void {
  const source = new EventSource(url, { withCredentials: true });
  source.onopen = () => take({ line: "up" });
  source.onerror = () => {
    const ended = source.readyState === EventSource.CLOSED;
    take({ line: "lost", ended });
    if (ended) setTimeout(() => alone(url, take), 5_000);
  };
  for (const name of ["changed", "hold", "toast", "bye"])
    source.addEventListener(name, (event) => take({ name, id: (event as MessageEvent).lastEventId, data: (event as MessageEvent).data as string }));
  addEventListener("pagehide", () => source.close(), { once: true });
}

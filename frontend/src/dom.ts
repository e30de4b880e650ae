/** The few DOM things that every island needs. */

/** The first element that matches, of the expected class; null when there is none. */
export function find<E extends Element>(kind: new () => E, selector: string, within: ParentNode = document): E | null {
  const found = within.querySelector(selector);
  return found instanceof kind ? found : null;
}

/** All elements that match and are of the expected class. */
export function findAll<E extends Element>(kind: new () => E, selector: string, within: ParentNode = document): E[] {
  return [...within.querySelectorAll(selector)].filter((element): element is E => element instanceof kind);
}

let sprite: string | undefined;

/** An icon of the sprite that the page uses. The address is taken from an icon that is already there. */
export function icon(name: string, extra = ""): SVGSVGElement {
  sprite ??= document.documentElement.dataset["ghIcons"] ?? document.querySelector("use[href]")?.getAttribute("href")?.split("#")[0] ?? "";
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", `gh-i ${extra}`.trim());
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${sprite}#${name}`);
  svg.append(use);
  return svg;
}

/** Changes the icon that an element shows. */
export function setIcon(svg: SVGElement, name: string): void {
  const use = svg.querySelector("use");
  const now = use?.getAttribute("href") ?? "";
  const next = `${now.split("#")[0]}#${name}`;
  if (now !== next) use?.setAttribute("href", next);
}

let live: HTMLElement | undefined;

/** Says a sentence to screen readers, without moving the focus. */
export function announce(text: string): void {
  if (!live) {
    live = document.createElement("div");
    live.className = "gh-vh";
    live.setAttribute("role", "status");
    document.body.append(live);
  }
  live.textContent = "";
  // A region that changes twice in one tick is read once at most.
  setTimeout(() => live?.replaceChildren(text), 60);
}

type Child = Node | string | null;

/** Makes an element: attributes as given (null leaves one out, a function listens to the event of its name), children appended. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | null | ((event: Event) => void)> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

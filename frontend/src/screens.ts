/** Small manners of single screens: filters that submit themselves, the side panel beside a list. */
import { find, findAll } from "./dom";

function mark(open: string | null): void {
  for (const row of findAll(HTMLTableRowElement, "tr[data-gh-id]")) {
    if (row.dataset["ghId"] === open) row.setAttribute("aria-selected", "true");
    else row.removeAttribute("aria-selected");
  }
}

function close(panel: Element, address: string): void {
  const open = panel.querySelector("[data-gh-panel]")?.getAttribute("data-gh-panel") ?? null;
  panel.replaceChildren();
  mark(null);
  history.pushState(null, "", address);
  // The focus goes back to the row from which the panel came.
  if (open) find(HTMLAnchorElement, `tr[data-gh-id="${CSS.escape(open)}"] a`)?.focus();
}

/** Starts them for the whole document. */
export function startScreens(): void {
  document.addEventListener("change", (event) => {
    if (event.target instanceof HTMLSelectElement && event.target.dataset["ghSubmit"] !== undefined) event.target.form?.requestSubmit();
  });
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const link = event.target.closest("a[data-gh-panel-close]");
    const panel = link?.closest(".gh-panel");
    if (!(link instanceof HTMLAnchorElement) || !panel) return;
    event.preventDefault();
    close(panel, link.href);
  });
  document.addEventListener("keydown", (event) => {
    const link = find(HTMLAnchorElement, "a[data-gh-panel-close]");
    const panel = link?.closest(".gh-panel");
    if (event.key === "Escape" && link && panel && !document.querySelector("details.gh-menu[open]")) close(panel, link.href);
  });
  document.body.addEventListener("htmx:afterSwap", (event) => {
    const target = (event as CustomEvent<{ target?: Element }>).detail.target;
    if (target?.id !== "panel") return;
    mark(target.querySelector("[data-gh-panel]")?.getAttribute("data-gh-panel") ?? null);
    find(HTMLElement, "[data-gh-panel-close]", target)?.focus({ preventScroll: true });
  });
}

/** The page's language: one for all elements, which draw themselves anew when it changes. */
import type { ReactiveController, ReactiveControllerHost } from 'lit';
import { Catalogue, chooseLanguage, type Language } from './catalogue';

const tags = typeof navigator === 'undefined' ? [] : navigator.languages;
let catalogue = new Catalogue(chooseLanguage(tags), tags);
const hosts = new Set<ReactiveControllerHost>();

/** The texts in the page's language. */
export function texts(): Catalogue {
  return catalogue;
}

/** Sets the page's language, and the document's with it. */
export function setLanguage(language: Language): void {
  catalogue = new Catalogue(language, tags);
  document.documentElement.lang = language;
  for (const host of hosts) host.requestUpdate();
}

/** Draws its host anew when the language changes. */
export class Localized implements ReactiveController {
  readonly #host: ReactiveControllerHost;

  constructor(host: ReactiveControllerHost) {
    this.#host = host;
    host.addController(this);
  }

  hostConnected(): void {
    hosts.add(this.#host);
  }

  hostDisconnected(): void {
    hosts.delete(this.#host);
  }
}

/** Texts in one language: fills in values, chooses plural forms, and writes dates, times and numbers by `Intl`. */
import { en, type Text, type TextKey } from './en';
import { zh } from './zh';

/** The languages that there are. */
export const LANGUAGES = { en: 'English', zh: '中文' } as const;
export type Language = keyof typeof LANGUAGES;

/** What stands for `{name}` in a text. */
export type Values = Readonly<Record<string, string | number>>;

const CATALOGUES: Readonly<Record<Language, Readonly<Record<TextKey, Text>>>> = { en, zh };
const DAY_MS = 86_400_000;

/** The texts of one language. */
export class Catalogue {
  readonly language: Language;
  readonly #texts: Readonly<Record<TextKey, Text>>;
  readonly #plurals: Intl.PluralRules;
  readonly #numbers: Intl.NumberFormat;
  readonly #times: Intl.DateTimeFormat;
  readonly #days: Intl.DateTimeFormat;
  readonly #moments: Intl.DateTimeFormat;
  readonly #relative: Intl.RelativeTimeFormat;

  /** `tags`: the reader's languages; the region in them decides how times are written. */
  constructor(language: Language, tags: readonly string[] = []) {
    this.language = language;
    const locale = tags.find(tag => tag.toLowerCase().startsWith(language)) ?? language;
    this.#texts = CATALOGUES[language];
    this.#plurals = new Intl.PluralRules(language);
    this.#numbers = new Intl.NumberFormat(locale);
    this.#times = new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit' });
    this.#days = new Intl.DateTimeFormat(locale, { weekday: 'long', day: 'numeric', month: 'long' });
    this.#moments = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' });
    this.#relative = new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' });
  }

  /** The text with its values; a plural text is chosen by the value `count`. */
  text(key: TextKey, values: Values = {}): string {
    const entry = this.#texts[key];
    const pattern = typeof entry === 'string' ? entry : this.#form(entry, Number(values['count'] ?? 0));
    return pattern.replace(/\{(\w+)\}/g, (whole, name: string) => {
      const value = values[name];
      if (value === undefined) return whole;
      return typeof value === 'number' ? this.#numbers.format(value) : value;
    });
  }

  /** The sentence for a code's name, in the reader's language. */
  error(name: string): string {
    const key = `error.${name}`;
    return this.text(key in this.#texts ? (key as TextKey) : 'error.other');
  }

  /** Hours and minutes. */
  time(at: number): string {
    return this.#times.format(at);
  }

  /** Date and time, to the second. */
  moment(at: number): string {
    return this.#moments.format(at);
  }

  /** The day, seen from `now`: today, yesterday, or its date. */
  day(at: number, now: number): string {
    const days = Math.round((midnight(at) - midnight(now)) / DAY_MS);
    if (days === 0 || days === -1)
      return capital(new Intl.RelativeTimeFormat(this.language, { numeric: 'auto' }).format(days, 'day'));
    return this.#days.format(at);
  }

  /** How long ago, in the largest unit that fits. */
  ago(at: number, now: number): string {
    const seconds = Math.min(0, Math.round((at - now) / 1_000));
    const minutes = Math.trunc(seconds / 60);
    const hours = Math.trunc(minutes / 60);
    if (hours <= -24) return this.#relative.format(Math.trunc(hours / 24), 'day');
    if (hours < 0) return this.#relative.format(hours, 'hour');
    if (minutes < 0) return this.#relative.format(minutes, 'minute');
    return this.#relative.format(seconds, 'second');
  }

  #form(forms: Partial<Record<Intl.LDMLPluralRule, string>>, count: number): string {
    return forms[this.#plurals.select(count)] ?? forms.other ?? '';
  }
}

/** The first of the reader's languages that there is; English if there is none. */
export function chooseLanguage(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const language = tag.toLowerCase().split('-')[0] ?? '';
    if (language in LANGUAGES) return language as Language;
  }
  return 'en';
}

function midnight(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

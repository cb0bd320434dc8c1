/** Laws of the texts: no language lacks one, and none loses a value or a plural form. */
import { describe, expect, it } from 'vitest';
import { Catalogue, chooseLanguage, LANGUAGES, type Language } from '../src/text/catalogue';
import { en, type Text, type TextKey } from '../src/text/en';
import { zh } from '../src/text/zh';

const catalogues: Readonly<Record<Language, Readonly<Record<string, Text>>>> = { en, zh };
const keys = Object.keys(en) as TextKey[];

function values(text: Text): string[] {
  const all = typeof text === 'string' ? [text] : Object.values(text);
  return [...new Set(all.flatMap(each => each.match(/\{\w+\}/g) ?? []))].sort();
}

describe.each(Object.keys(LANGUAGES) as Language[])('the texts in %s', language => {
  const texts: Readonly<Record<string, Text>> = catalogues[language];

  it('are all there, none empty, none too many', () => {
    expect(Object.keys(texts).sort()).toEqual([...keys].sort());
    for (const key of keys) expect(new Catalogue(language).text(key, { count: 1 }), key).not.toBe('');
  });

  it('speak of the same values as the English ones', () => {
    for (const key of keys) expect(values(texts[key]!), key).toEqual(values(en[key]));
  });

  it('have every plural form that the language has', () => {
    const needed = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
    for (const key of keys) {
      const text = texts[key]!;
      if (typeof text !== 'string') expect(Object.keys(text).sort(), key).toEqual([...needed].sort());
    }
  });
});

describe('a catalogue', () => {
  it('fills in values and chooses the plural form', () => {
    const english = new Catalogue('en');
    expect(english.text('log.new', { count: 1 })).toBe('1 new message');
    expect(english.text('log.new', { count: 1234 })).toBe('1,234 new messages');
    expect(new Catalogue('zh').text('log.new', { count: 3 })).toBe('3 条新消息');
  });

  it('never takes a value for a pattern', () => {
    expect(new Catalogue('en').text('typing.one', { name: '{name} $& {count}' })).toBe(
      '{name} $& {count} is typing',
    );
  });

  it('has a sentence for every error, known or not', () => {
    expect(new Catalogue('en').error('too_large')).toContain('too long');
    expect(new Catalogue('en').error('never_heard_of')).toBe(en['error.other']);
  });

  it('names near days by words, and writes ages in the largest unit', () => {
    const now = new Date(2026, 10, 20, 9).getTime();
    const english = new Catalogue('en');
    expect(english.day(now, now)).toBe('Today');
    expect(english.day(new Date(2026, 10, 19, 23).getTime(), now)).toBe('Yesterday');
    expect(english.day(new Date(2026, 10, 2).getTime(), now)).toContain('November');
    expect(english.ago(now - 30_000, now)).toContain('30');
    expect(english.ago(now - 7_200_000, now)).toContain('2');
    expect(english.ago(now + 5_000, now)).toBe(english.ago(now, now));
  });

  it('is chosen by the first language that there is', () => {
    expect(chooseLanguage(['fr-CH', 'zh-Hant-TW', 'en'])).toBe('zh');
    expect(chooseLanguage(['fr'])).toBe('en');
  });
});

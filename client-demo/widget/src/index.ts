/**
 * `@duet/widget`: `<duet-chat>`, the visitor's side, and the parts of which other pages are made.
 *
 * Importing it defines the elements. Theme it with the ten `--duet-*` custom properties that `parts/theme.ts` names.
 */
export { DuetChat } from './chat';
export { customerOf, nameOf } from './model/names';
export { avatar, avatarStyle } from './parts/avatar';
export { badge, badgeStyle } from './parts/badge';
export { DuetBanner } from './parts/banner';
export { DuetConversation } from './parts/conversation';
export { headStyle } from './parts/head';
export { icon } from './parts/icons';
export { DuetMessages } from './parts/messages';
export { DuetPresence } from './parts/presence';
export { problem, problemStyle } from './parts/problem';
export { DuetStrip } from './parts/strip';
export { theme } from './parts/theme';
export { Ticking, Watching } from './parts/watching';
export { LANGUAGES, type Language } from './text/catalogue';
export type { TextKey } from './text/en';
export { Localized, setLanguage, texts } from './text/locale';

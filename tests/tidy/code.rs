//! Just enough of Rust's grammar to ask which paths a file names: comments, literals and test modules are blanked out,
//! `use` trees are unfolded, `super` and `crate` are resolved against the file's own place.

/// A path as written in the source, unfolded: `use a::{b, c::d}` gives `a::b` and `a::c::d`.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(crate) struct Named {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
}

impl Named {
    /// Whether the path is `prefix` or lies under it, segment by segment.
    pub(crate) fn starts_with(&self, prefix: &str) -> bool {
        let mut segments = self.segments.iter();
        prefix.split("::").all(|wanted| segments.next().is_some_and(|found| found == wanted))
    }

    pub(crate) fn text(&self) -> String {
        self.segments.join("::")
    }
}

/// Every path of two or more segments and every plain `use name;` in `source`, the file at `path`. Paths that begin with
/// `crate`, `self` or `super` come back absolute, beginning with `crate`.
pub(crate) fn paths(path: &str, source: &str) -> Vec<Named> {
    let module = module_of(path);
    let tokens = tokens(&without_tests(&blank(source)));
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let starts = tokens[at].is_word() && (at == 0 || !matches!(tokens[at - 1].text.as_str(), "::" | "."));
        let in_use = at > 0 && tokens[at - 1].text == "use";
        let goes_on = tokens.get(at + 1).is_some_and(|next| next.text == "::");
        if starts && (in_use || goes_on) {
            at = unfold(&tokens, at, &[], &mut found);
        } else {
            at += 1;
        }
    }
    for named in &mut found {
        named.segments = absolute(&module, &named.segments);
    }
    found
}

/// The source with comments and the insides of string and character literals replaced by spaces; line breaks stay.
pub(crate) fn blank(source: &str) -> String {
    let bytes: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < bytes.len() {
        let length = skipped_length(&bytes[at..], at.checked_sub(1).map(|before| bytes[before]));
        if length == 0 {
            out.push(bytes[at]);
            at += 1;
        } else {
            out.extend(bytes[at..at + length].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at += length;
        }
    }
    out
}

/// How many characters from here on belong to a comment or a literal; 0 if this is code.
fn skipped_length(rest: &[char], before: Option<char>) -> usize {
    let after_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match rest {
        ['/', '/', ..] => rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => block_comment(rest),
        ['"', ..] => 1 + quoted(&rest[1..]),
        ['b' | 'c', '"', ..] if !after_word => 2 + quoted(&rest[2..]),
        ['r', '"' | '#', ..] if !after_word => raw_string(rest, 1),
        ['b', 'r', '"' | '#', ..] if !after_word => raw_string(rest, 2),
        ['\'', '\\', ..] => 2 + rest[2..].iter().skip(1).position(|&c| c == '\'').map_or(1, |end| end + 2),
        ['\'', _, '\'', ..] => 3,
        _ => 0,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length up to and with the closing quote.
fn quoted(rest: &[char]) -> usize {
    let mut at = 0;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string(rest: &[char], prefix: usize) -> usize {
    let hashes = rest[prefix..].iter().take_while(|&&c| c == '#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&'"') {
        return 0;
    }
    let mut at = open + 1;
    while at < rest.len() {
        if rest[at] == '"' && rest[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    rest.len()
}

/// Blanked source without the modules marked `#[cfg(test)]`: what they do, the product does not.
fn without_tests(blanked: &str) -> String {
    let mut out = blanked.to_owned();
    while let Some(start) = out.find("#[cfg(test)]") {
        let mut depth = 0_usize;
        let mut end = out.len();
        for (offset, c) in out[start..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 1 => {
                    end = start + offset + 1;
                    break;
                }
                '}' => depth = depth.saturating_sub(1),
                ';' if depth == 0 => {
                    end = start + offset + 1;
                    break;
                }
                _ => {}
            }
        }
        let spaces: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &spaces);
    }
    out
}

struct Token {
    line: usize,
    text: String,
}

impl Token {
    fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Words, `::`, and every other visible character by itself.
fn tokens(blanked: &str) -> Vec<Token> {
    let mut out = Vec::new();
    for (index, line) in blanked.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if first.is_alphanumeric() || first == '_' {
                rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            out.push(Token { line: index + 1, text: rest[..length].to_owned() });
            rest = rest[length..].trim_start();
        }
    }
    out
}

/// Reads the path (or `use` tree) that starts at `at`, adds what it names below `prefix`, returns where it ends.
fn unfold(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<Named>) -> usize {
    let mut segments = prefix.to_vec();
    let line = tokens[at].line;
    while let Some(token) = tokens.get(at) {
        if token.text == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|token| token.text != "}") {
                at = if tokens[at].text == "," { at + 1 } else { unfold(tokens, at, &segments, found) };
            }
            return at + 1;
        }
        if token.is_word() && token.text != "as" {
            segments.push(token.text.clone());
        }
        at += 1;
        if tokens.get(at).is_none_or(|next| next.text != "::") {
            break;
        }
        // Generic arguments (`Vec::<u8>`) end the path; they are scanned on their own.
        match tokens.get(at + 1) {
            Some(next) if next.is_word() || next.text == "{" => at += 1,
            _ => break,
        }
    }
    found.push(Named { line, segments });
    if tokens.get(at).is_some_and(|token| token.text == "as") { at + 2 } else { at }
}

/// The module that a file holds, as segments under `crate`.
fn module_of(path: &str) -> Vec<String> {
    let inside = path.split_once("src/").map_or(path, |(_, inside)| inside);
    let mut segments = vec!["crate".to_owned()];
    segments.extend(inside.trim_end_matches(".rs").split('/').map(str::to_owned));
    if matches!(segments.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        segments.pop();
    }
    segments
}

fn absolute(module: &[String], segments: &[String]) -> Vec<String> {
    let mut base = match segments.first().map(String::as_str) {
        Some("self" | "super") => module.to_vec(),
        _ => return segments.to_vec(),
    };
    let mut rest = segments;
    while let [first, others @ ..] = rest {
        match first.as_str() {
            "super" => drop(base.pop()),
            "self" => {}
            _ => break,
        }
        rest = others;
    }
    base.extend(rest.iter().cloned());
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(path: &str, source: &str) -> Vec<String> {
        paths(path, source).iter().map(Named::text).collect()
    }

    #[test]
    fn use_trees_are_unfolded() {
        let source = "use crate::{core::{Input, record::Record as R}, store};\nuse sled;\n";
        assert_eq!(
            texts("src/server/mod.rs", source),
            ["crate::core::Input", "crate::core::record::Record", "crate::store", "sled"]
        );
    }

    #[test]
    fn super_is_resolved_against_the_file() {
        assert_eq!(texts("src/store/tree.rs", "use super::super::peer::Link;"), ["crate::peer::Link"]);
        assert_eq!(texts("src/store/mod.rs", "fn f() { super::core::decide() }"), ["crate::core::decide"]);
        assert_eq!(texts("crates/client/src/link/quic.rs", "use super::Link;"), ["crate::link::Link"]);
    }

    #[test]
    fn comments_and_literals_name_nothing() {
        let source = "// tokio::spawn\n/* a /* b */ tokio::x */ let s = \"tokio::y\"; let r = r#\"tokio::\"z\"#; let c = '\"';\nfn g() { a::b() }";
        assert_eq!(texts("src/lib.rs", source), ["a::b"]);
    }

    #[test]
    fn lifetimes_are_no_character_literals() {
        assert_eq!(
            texts("src/lib.rs", "fn f<'a>(x: &'a str) -> b::C<'a> { '\\n'; d::e() }"),
            ["b::C", "d::e"]
        );
    }

    #[test]
    fn test_modules_are_left_out() {
        let source = "#[cfg(test)]\nmod tests { fn f() { tokio::spawn(g) } }\nfn h() { a::b() }";
        let found = paths("src/lib.rs", source);
        assert_eq!(found, [Named { line: 3, segments: vec!["a".to_owned(), "b".to_owned()] }]);
    }
}

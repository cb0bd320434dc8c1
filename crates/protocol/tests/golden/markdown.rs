//! As much of Markdown as the protocol's document uses: headings, tables, fenced blocks.

/// A document, cut at its headings.
pub(crate) struct Document {
    sections: Vec<Section>,
}

/// What stands between a heading and the next one of any level.
pub(crate) struct Section {
    heading: String,
    parent: String,
    lines: Vec<String>,
}

impl Document {
    pub(crate) fn read(text: &str) -> Self {
        let mut sections: Vec<Section> = Vec::new();
        let (mut chapter, mut fenced) = (String::new(), false);
        for line in text.lines() {
            fenced ^= line.starts_with("```");
            let level = line.chars().take_while(|c| *c == '#').count();
            if level > 0 && !fenced {
                let heading = line[level..].trim().to_owned();
                if level == 2 {
                    chapter.clone_from(&heading);
                }
                let parent = if level == 3 { chapter.clone() } else { String::new() };
                sections.push(Section { heading, parent, lines: Vec::new() });
            } else if let Some(section) = sections.last_mut() {
                section.lines.push(line.to_owned());
            }
        }
        Self { sections }
    }

    /// The one section of this name.
    pub(crate) fn section(&self, heading: &str) -> &Section {
        let mut found = self.sections.iter().filter(|section| section.heading == heading);
        let section = found.next().unwrap_or_else(|| panic!("the document has no section `{heading}`"));
        assert!(found.next().is_none(), "two sections are called `{heading}`");
        section
    }

    pub(crate) fn sections(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter()
    }

    /// Fenced blocks that open with "```hex name": the name, and the digits without the notes behind `;`.
    pub(crate) fn hex_blocks(text: &str) -> Vec<(String, String)> {
        let mut blocks: Vec<(String, String)> = Vec::new();
        let mut open = false;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("```hex ") {
                blocks.push((name.trim().to_owned(), String::new()));
                open = true;
            } else if line.starts_with("```") {
                open = false;
            } else if let Some((_, digits)) = blocks.last_mut().filter(|_| open) {
                digits.push_str(line.split(';').next().unwrap_or_default());
            }
        }
        blocks
    }
}

impl Section {
    pub(crate) fn heading(&self) -> &str {
        &self.heading
    }

    /// The chapter (level 2) to which a section of level 3 belongs; empty for others.
    pub(crate) fn parent(&self) -> &str {
        &self.parent
    }

    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// The rows of the section's first table whose header begins with these columns.
    pub(crate) fn table(&self, columns: &[&str]) -> Vec<Vec<String>> {
        let mut lines = self.lines.iter().map(|line| cells(line));
        let header =
            lines.find(|row| row.len() >= columns.len() && row.iter().zip(columns).all(|(a, b)| a == b));
        assert!(header.is_some(), "under `{}` there is no table with the columns {columns:?}", self.heading);
        lines.skip(1).take_while(|row| row.len() >= columns.len()).collect()
    }
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.strip_prefix('|').and_then(|line| line.trim_end().strip_suffix('|'));
    inner.map(|inner| inner.split('|').map(|cell| cell.trim().to_owned()).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_blocks_are_found_where_they_stand() {
        let text =
            "## A\n### B\n\n| x | y |\n| - | - |\n| 1 | 2 |\n\n```hex n\n01 ; one\n# no heading\n```\n## C\n";
        let document = Document::read(text);
        assert_eq!(document.section("B").table(&["x", "y"]), [["1", "2"]]);
        assert_eq!(document.section("B").parent(), "A");
        assert_eq!(Document::hex_blocks(text), [("n".to_owned(), "01 # no heading".to_owned())]);
        assert_eq!(document.sections().count(), 3);
    }
}

//! Lays text out in columns; pure functions of text and width.
//!
//! A line is never wider than asked, whatever is in it: words that do not fit are broken.

/// Columns between two cells.
const GAP: usize = 2;
/// Columns that the first cell which may be broken keeps.
const NARROW: usize = 8;
/// Columns by which what belongs to a row stands to the right of it.
const INDENT: usize = 4;

/// A row of a table, and what stands under it.
pub(super) struct Row {
    /// One text per column.
    pub(super) cells: Vec<String>,
    /// Text under the row, over the whole width.
    pub(super) note: Option<String>,
}

impl Row {
    /// Makes a row with nothing under it.
    pub(super) fn new(cells: impl Into<Vec<String>>) -> Self {
        Self { cells: cells.into(), note: None }
    }
}

/// Breaks a text into lines of at most `width` columns, at spaces where it can.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for piece in paragraph.split_whitespace().flat_map(|word| pieces(word, width)) {
            if !line.is_empty() && columns(&line) + 1 + columns(&piece) > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&piece);
        }
        lines.push(line);
    }
    lines
}

/// Wraps a text and puts `indent` spaces before each line; ends with a line break.
pub(super) fn indented(text: &str, indent: usize, width: usize) -> String {
    let wrapped = wrap(text, width.saturating_sub(indent));
    wrapped.iter().map(|line| format!("{}{line}\n", " ".repeat(indent))).collect()
}

/// Writes a name and its value, the value in a column of its own; ends with a line break.
pub(super) fn field(name: &str, value: &str, width: usize) -> String {
    const NAME: usize = 12;
    let value = indented(if value.is_empty() { "-" } else { value }, NAME, width);
    format!("{name:<NAME$}{}", value.get(NAME..).unwrap_or_default())
}

/// Lays rows out under a head, in at most `width` columns; ends with a line break.
///
/// Where they do not fit, cells are wrapped at spaces, then those of column `elastic` are broken.
pub(super) fn table(head: &[&str], rows: &[Row], elastic: usize, width: usize) -> String {
    let head: Vec<String> = head.iter().map(|&title| title.to_owned()).collect();
    let all: Vec<&[String]> =
        std::iter::once(head.as_slice()).chain(rows.iter().map(|row| row.cells.as_slice())).collect();
    let widths = fit(&all, head.len(), elastic, width);
    let mut text = line(&head, &widths);
    for row in rows {
        text.push_str(&line(&row.cells, &widths));
        if let Some(note) = &row.note {
            text.push_str(&indented(note, INDENT, width));
        }
    }
    text
}

/// Counts columns; a character is taken for one column, as all of Latin script are.
fn columns(text: &str) -> usize {
    text.chars().count()
}

fn pieces(word: &str, width: usize) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    letters.chunks(width).map(|piece| piece.iter().collect()).collect()
}

fn fit(rows: &[&[String]], count: usize, elastic: usize, width: usize) -> Vec<usize> {
    let widest = |of: fn(&str) -> usize| -> Vec<usize> {
        let column = |at: usize| rows.iter().filter_map(move |row| row.get(at)).map(|cell| of(cell)).max();
        (0..count).map(|at| column(at).unwrap_or(0)).collect()
    };
    let mut widths = widest(columns);
    let words = widest(|cell| cell.split_whitespace().map(columns).max().unwrap_or(0));
    let gaps = GAP * count.saturating_sub(1);
    let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(width);
    while excess > 0 {
        let wrapped = (0..count).filter(|&at| widths[at] > words[at]).max_by_key(|&at| widths[at]);
        let broken = || (widths.get(elastic).copied().unwrap_or(0) > NARROW).then_some(elastic);
        let any = || (0..count).filter(|&at| widths[at] > 1).max_by_key(|&at| widths[at]);
        let Some(at) = wrapped.or_else(broken).or_else(any) else { break };
        widths[at] -= 1;
        excess -= 1;
    }
    widths
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let wrapped: Vec<Vec<String>> = cells.iter().zip(widths).map(|(cell, &width)| wrap(cell, width)).collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let mut text = String::new();
    for at in 0..height {
        let mut row = String::new();
        for (lines, &width) in wrapped.iter().zip(widths) {
            let cell = lines.get(at).map_or("", String::as_str);
            row.push_str(&format!("{cell:<width$}{:GAP$}", ""));
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Row {
        Row::new(cells.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn text_is_broken_at_spaces_and_a_long_word_anywhere() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("a\nb", 10), ["a", "b"]);
        assert!(wrap("", 10).is_empty());
        assert_eq!(wrap("añb", 1), ["a", "ñ", "b"]);
    }

    #[test]
    fn a_table_that_fits_is_as_wide_as_its_cells() {
        let rows = [row(&["a", "bcd"]), row(&["", "e"])];
        assert_eq!(table(&["ONE", "2"], &rows, 0, 80), "ONE  2\na    bcd\n     e\n");
    }

    #[test]
    fn a_table_wraps_cells_before_it_breaks_words() {
        let rows = [row(&["0123456789", "90 percent", "word"])];
        let expected = "A           B         C\n0123456789  90        word\n            percent\n";
        assert_eq!(table(&["A", "B", "C"], &rows, 0, 26), expected);
    }

    #[test]
    fn a_table_fits_into_any_width() {
        let (name, number) = ("s".repeat(40), "9".repeat(20));
        let mut long = row(&[name.as_str(), "a b c d e f", number.as_str()]);
        long.note = Some("x".repeat(200));
        let rows = [long];
        for width in [12, 20, 40, 80] {
            let text = table(&["NAME", "WORDS", "NUMBER"], &rows, 0, width);
            assert!(text.lines().all(|line| columns(line) <= width), "{width}:\n{text}");
            assert_eq!(text.matches('9').count(), 20, "{text}");
        }
    }

    #[test]
    fn a_long_value_stays_in_its_column() {
        assert_eq!(field("grants", "aaaa bbbb", 17), "grants      aaaa\n            bbbb\n");
        assert_eq!(field("grants", "", 80), "grants      -\n");
    }
}

//! Tables of text whose cells may have several lines.

use super::output::Ink;

/// A table with a heading for each column.
#[derive(Debug)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Vec<String>>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self {
            headings: headings.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, with the lines of each cell.
    pub(crate) fn row(&mut self, cells: Vec<Vec<String>>) {
        self.rows.push(cells);
    }

    /// The table, each column as wide as its widest line.
    pub(crate) fn render(&self, ink: Ink) -> String {
        let widths: Vec<usize> = (0..self.headings.len())
            .map(|column| self.width(column))
            .collect();
        let headings: Vec<_> = self
            .headings
            .iter()
            .map(|heading| vec![(*heading).to_owned()])
            .collect();
        let mut text = String::new();
        for line in render_row(&headings, &widths) {
            text.push_str(&ink.dim(line));
            text.push('\n');
        }
        for row in &self.rows {
            for line in render_row(row, &widths) {
                text.push_str(&line);
                text.push('\n');
            }
        }
        text
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).flatten();
        let heading = self.headings.get(column).map_or(0, |heading| heading.len());
        cells
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0)
            .max(heading)
    }
}

fn render_row(cells: &[Vec<String>], widths: &[usize]) -> Vec<String> {
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    let line = |at: usize| {
        let parts = cells.iter().zip(widths).map(|(cell, width)| {
            let text = cell.get(at).map_or("", String::as_str);
            format!("{text:width$}")
        });
        parts.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    (0..height).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let mut table = Table::new(&["NAME", "DEMANDS"]);
        table.row(vec![
            vec!["Bücher".into()],
            vec!["TLS".into(), "from 192.0.2.1".into()],
        ]);
        table.row(vec![vec!["b".into()], vec![]]);
        insta::assert_snapshot!(table.render(Ink::NONE), @r"
        NAME    DEMANDS
        Bücher  TLS
                from 192.0.2.1
        b
        ");
    }
}

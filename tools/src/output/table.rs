//! Tables for people.

use super::{Failure, Output};

/// Columns under headings, as wide as what is in them.
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one. Columns whose heading begins with `>` are numbers, which end below each other.
    pub fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are headings.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row: Vec<String> = cells.into_iter().collect();
        debug_assert_eq!(row.len(), self.headings.len());
        self.rows.push(row);
    }

    /// Writes it, indented by two columns; nothing if it has no rows.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn write(&self, output: &Output) -> Result<(), Failure> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let is_number = |column: usize| self.headings[column].starts_with('>');
        let headings: Vec<String> =
            self.headings.iter().map(|name| name.trim_start_matches('>').to_owned()).collect();
        let lines = || std::iter::once(&headings).chain(&self.rows);
        let width = |column: usize| lines().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> =
            (0..headings.len()).map(|column| width(column).unwrap_or(0)).collect();
        for (index, row) in lines().enumerate() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                line.push_str("  ");
                let blanks = widths[column] - cell.chars().count();
                let blanks = " ".repeat(blanks);
                let cell = if is_number(column) { blanks + cell } else { cell.clone() + &blanks };
                line.push_str(&cell);
            }
            let line = line.trim_end();
            output.line(if index == 0 { output.bold(line) } else { line.to_owned() })?;
        }
        Ok(())
    }
}

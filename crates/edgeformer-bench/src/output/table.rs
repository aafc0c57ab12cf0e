/// A table of text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns. The first is set left, the others right.
    pub fn new(header: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { header: header.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row. Cells that it lacks stay empty; cells beyond the header are dropped.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.header.len(), String::new());
        self.rows.push(cells);
    }

    /// As Markdown, each row a line.
    pub fn to_markdown(&self) -> String {
        let rule = (0..self.header.len()).map(|column| if column == 0 { "---" } else { "---:" });
        let rule: Vec<String> = rule.map(str::to_owned).collect();
        let lines = [&self.header, &rule].into_iter().chain(&self.rows);
        lines.map(|cells| line(cells)).collect()
    }
}

fn line(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_markdown() {
        let mut table = Table::new(["cache", "B/token"]);
        table.row(["f16", "640"]);
        table.row(["a|b"]);
        table.row(["x", "1", "dropped"]);
        insta::assert_snapshot!(table.to_markdown(), @r"
        | cache | B/token |
        | --- | ---: |
        | f16 | 640 |
        | a\|b |  |
        | x | 1 |
        ");
    }
}

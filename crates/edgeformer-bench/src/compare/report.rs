use std::path::{Path, PathBuf};

use super::{Comparison, LENGTHS, Quantity, findings};
use crate::output::chart::{Line, LineChart, lines};
use crate::output::{Table, bytes, ratio, short};
use crate::{Error, Result};

impl Comparison {
    /// A table for each quantity, each device beside the first, and what they reveal.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("{} {}\n", self.model, self.format);
        for quantity in self.quantities() {
            text += &format!("\n{}\n\n{}", heading(quantity), self.table(quantity).to_markdown());
        }
        let found = findings(self);
        if !found.is_empty() {
            let found: Vec<String> = found.iter().map(|line| format!("- {line}\n")).collect();
            text += &format!("\n{}", found.concat());
        }
        text
    }

    /// Quantities that were measured at all.
    fn quantities(&self) -> impl Iterator<Item = Quantity> {
        let has = |kind: &Quantity| self.curves.iter().any(|curve| !curve.points(*kind).is_empty());
        Quantity::ALL.into_iter().filter(has)
    }

    fn table(&self, quantity: Quantity) -> Table {
        let lengths = LENGTHS.map(|length| length.to_string());
        let mut table = Table::new(std::iter::once("device".to_owned()).chain(lengths));
        for (index, curve) in self.curves.iter().enumerate() {
            let cell = |length| {
                let Some(value) = curve.at(quantity, length) else { return "–".to_owned() };
                let shown = match quantity {
                    Quantity::Memory => bytes(value as u64),
                    Quantity::Prefill | Quantity::Decode => short(value),
                };
                match self.curves[0].at(quantity, length) {
                    Some(first) if index > 0 && first > 0.0 => {
                        format!("{shown} ({})", ratio(value / first))
                    }
                    _ => shown,
                }
            };
            table.row(std::iter::once(curve.device.clone()).chain(LENGTHS.map(cell)));
        }
        table
    }

    /// A chart of a quantity as a PNG file, one line a device.
    ///
    /// # Errors
    /// If it cannot be drawn.
    pub fn to_png(&self, quantity: Quantity) -> Result<Vec<u8>> {
        let line = |curve: &super::Curve| {
            let scale = if quantity == Quantity::Memory { 1.0 / (1 << 20) as f64 } else { 1.0 };
            let points = curve.points(quantity).into_iter();
            Line {
                name: curve.device.clone(),
                points: points.map(|(at, value)| (at as f64, value * scale)).collect(),
            }
        };
        let (x, y) = match quantity {
            Quantity::Prefill => ("prompt, tokens", "prompt tokens a second"),
            Quantity::Decode => ("context, tokens", "written tokens a second"),
            Quantity::Memory => ("sequence, tokens", "resident at most, MiB"),
        };
        lines(&LineChart {
            title: format!("{} {}: {}", self.model, self.format, quantity.name()),
            x: x.into(),
            y: y.into(),
            log_x: true,
            lines: self.curves.iter().map(line).collect(),
        })
    }

    /// Writes a chart for each quantity into a folder, `MODEL-FORMAT-QUANTITY.png`, and returns
    /// their paths. The folder is made if it is not there.
    ///
    /// # Errors
    /// If a file cannot be written, or a chart cannot be drawn.
    pub fn write_charts(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
        let write = |quantity: Quantity| {
            // A model may be called anything.
            let name = format!("{}-{}", self.model, self.format).replace(['/', '\\'], "-");
            let file = folder.join(format!("{name}-{}.png", quantity.name()));
            std::fs::write(&file, self.to_png(quantity)?)
                .map_err(|error| Error::file(&file, error))?;
            Ok(file)
        };
        self.quantities().map(write).collect()
    }
}

fn heading(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Prefill => "Prompt tokens a second, by the prompt's length:",
        Quantity::Decode => "Written tokens a second, by the context before them:",
        Quantity::Memory => "Resident at most, by the sequence's length:",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_lay_devices_beside_the_first() {
        insta::assert_snapshot!(Comparison::made_up().to_markdown());
    }

    #[test]
    fn charts_have_a_line_a_device() {
        let folder = tempfile::tempdir().unwrap();
        let mut comparison = Comparison::made_up();
        comparison.model = "a/b".into();
        let files = comparison.write_charts(&folder.path().join("new")).unwrap();
        let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap()).collect();
        assert_eq!(names, ["a-b-q4_0-prefill.png", "a-b-q4_0-decode.png", "a-b-q4_0-memory.png"]);
        let lines_of = |file: &PathBuf| {
            let image = image::open(file).unwrap().to_rgb8();
            let of = |color: [u8; 3]| image.pixels().filter(|pixel| pixel.0 == color).count();
            [of([0, 114, 178]), of([213, 94, 0])]
        };
        let [first, second] = lines_of(&files[0]);
        assert!(first > 300 && second > 300, "{first} {second}");
        comparison.curves.iter_mut().for_each(|curve| curve.memory.clear());
        assert_eq!(comparison.write_charts(folder.path()).unwrap().len(), 2);
    }
}

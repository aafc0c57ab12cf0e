//! Panels of horizontal bars: one panel a quantity, one bar a case.

use plotters::prelude::{Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{BLACK, Color, IntoFont, TextStyle};

use super::canvas::{Area, COLORS, FONT, png, text_width, wrong};
use crate::Result;

/// Quantities that are compared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Panel {
    /// What it is, with its unit.
    pub title: String,
    /// The cases.
    pub bars: Vec<Bar>,
}

/// A case.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// What it is called.
    pub label: String,
    /// How long it is; `None` draws none.
    pub value: Option<f64>,
    /// What stands behind it.
    pub text: String,
}

const COLUMNS: usize = 2;
const PANEL_WIDTH: i32 = 620;
const MARGIN: i32 = 16;
const ROW: i32 = 20;
const SIZE: u32 = 13;
const TITLE_SIZE: u32 = 15;
const HEAD: i32 = 52;

/// Draws panels two abreast, under a title and a line that says on what was measured.
///
/// # Errors
/// If drawing fails.
pub fn bars(title: &str, machine: &str, panels: &[Panel]) -> Result<Vec<u8>> {
    let tallest = panels.iter().map(|panel| panel.bars.len()).max().unwrap_or(0) as i32;
    let height = (tallest + 1) * ROW + 2 * MARGIN;
    let lines = panels.len().div_ceil(COLUMNS) as i32;
    let size = (COLUMNS as u32 * PANEL_WIDTH as u32, (HEAD + lines * height) as u32);
    png(size, |area| {
        write(area, title, (MARGIN, MARGIN), TITLE_SIZE)?;
        let letters = (2 * (PANEL_WIDTH - MARGIN) / text_width("m", SIZE)) as usize;
        let machine: String = machine.chars().take(letters).collect();
        write(area, &machine, (MARGIN, MARGIN + ROW), SIZE)?;
        for (index, panel) in panels.iter().enumerate() {
            let column = (index % COLUMNS) as i32;
            let line = (index / COLUMNS) as i32;
            draw(area, panel, (column * PANEL_WIDTH + MARGIN, HEAD + line * height + MARGIN))?;
        }
        Ok(())
    })
}

fn draw(area: &Area<'_>, panel: &Panel, (left, top): (i32, i32)) -> Result<()> {
    write(area, &panel.title, (left, top + ROW / 2), TITLE_SIZE)?;
    let widest = |text: fn(&Bar) -> &str| {
        panel.bars.iter().map(|bar| text_width(text(bar), SIZE)).max().unwrap_or(0) + 8
    };
    let start = left + widest(|bar| &bar.label);
    let room = left + PANEL_WIDTH - 2 * MARGIN - widest(|bar| &bar.text) - start;
    let most = panel.bars.iter().filter_map(|bar| bar.value).fold(0.0, f64::max);
    for (bar, index) in panel.bars.iter().zip(1..) {
        let middle = top + index * ROW + ROW / 2;
        write(area, &bar.label, (left, middle), SIZE)?;
        let share = bar.value.filter(|_| most > 0.0).map_or(0.0, |value| value / most);
        let end = start + (share * f64::from(room.max(0))).round() as i32;
        let corners = [(start, middle - ROW / 2 + 3), (end, middle + ROW / 2 - 3)];
        // The first case is what the others are compared with.
        let color = COLORS[usize::from(index == 1)];
        area.draw(&Rectangle::new(corners, color.filled())).map_err(wrong)?;
        write(area, &bar.text, (end + 6, middle), SIZE)?;
    }
    Ok(())
}

fn write(area: &Area<'_>, text: &str, at: (i32, i32), size: u32) -> Result<()> {
    let style = TextStyle::from((FONT, size).into_font()).color(&BLACK);
    let style = style.pos(Pos::new(HPos::Left, VPos::Center));
    area.draw(&Text::new(text.to_owned(), at, style)).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GenericImageView, Rgba};

    fn bar(value: Option<f64>) -> Bar {
        Bar { label: "q8_0/q4_0".into(), value, text: "1.5".into() }
    }

    fn pixels_of(file: &[u8], color: usize) -> usize {
        let [red, green, blue] = [COLORS[color].0, COLORS[color].1, COLORS[color].2];
        let image = image::load_from_memory(file).unwrap();
        image.pixels().filter(|(_, _, pixel)| *pixel == Rgba([red, green, blue, 255])).count()
    }

    #[test]
    fn charts_are_png_files_of_their_size() {
        let panel = Panel { title: "bytes".into(), bars: vec![bar(Some(1.0)), bar(Some(0.5))] };
        let three = bars("title", "machine", &vec![panel; 3]).unwrap();
        let image = image::load_from_memory(&three).unwrap();
        let height = HEAD + 2 * (3 * ROW + 2 * MARGIN);
        assert_eq!(image.dimensions(), (2 * PANEL_WIDTH as u32, height as u32));
        // Letters are there: without the font nothing dark would be drawn.
        let is_dark = |pixel: &Rgba<u8>| pixel.0[..3].iter().all(|&part| part < 100);
        let dark = image.pixels().filter(|(_, _, pixel)| is_dark(pixel)).count();
        assert!(dark > 400, "{dark}");
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let panel = Panel { title: String::new(), bars: vec![bar(Some(2.0)), bar(Some(1.0))] };
        let file = bars("", "", &[panel]).unwrap();
        let (long, short) = (pixels_of(&file, 1) as f64, pixels_of(&file, 0) as f64);
        assert!((long / short - 2.0).abs() < 0.05, "{long} {short}");
    }

    #[test]
    fn nothing_to_draw_is_drawn_too() {
        assert!(bars("", "", &[]).is_ok());
        let panel = Panel { title: "all failed".into(), bars: vec![bar(None), bar(Some(0.0))] };
        assert!(bars("", "", &[panel]).is_ok());
    }
}

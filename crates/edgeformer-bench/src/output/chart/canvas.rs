//! Where charts are drawn: pixels in memory, then a PNG file.

use std::io::Cursor;
use std::sync::OnceLock;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use plotters::coord::Shift;
use plotters::prelude::{BitMapBackend, DrawingArea, IntoDrawingArea};
use plotters::style::{FontStyle, RGBColor, WHITE, register_font};

use crate::{Error, Result};

/// The family under which the font is registered.
pub(super) const FONT: &str = "sans-serif";

/// Width of a letter of the font in heights of a line: it is monospaced.
const ADVANCE: f64 = 0.517;

/// Colours that people with any colour vision tell apart (Okabe and Ito 2008).
pub(super) const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// Where a chart is drawn.
pub(super) type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// Pixels that a text takes if a line is `size` high.
pub(super) fn text_width(text: &str, size: u32) -> i32 {
    (text.chars().count() as f64 * f64::from(size) * ADVANCE).ceil() as i32
}

/// Draws on white and makes a PNG file of it.
pub(super) fn png(
    (width, height): (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Result<()>,
) -> Result<Vec<u8>> {
    register()?;
    let mut pixels = vec![0; width as usize * height as usize * 3];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        area.fill(&WHITE).map_err(wrong)?;
        draw(&area)?;
        area.present().map_err(wrong)?;
    }
    let mut file = Cursor::new(Vec::new());
    PngEncoder::new(&mut file)
        .write_image(&pixels, width, height, ExtendedColorType::Rgb8)
        .map_err(wrong)?;
    Ok(file.into_inner())
}

/// What drawing says of itself.
pub(super) fn wrong(error: impl std::fmt::Display) -> Error {
    Error::Chart(error.to_string())
}

fn register() -> Result<()> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let font = epaint_default_fonts::HACK_REGULAR;
    let register = || register_font(FONT, FontStyle::Normal, font).is_ok();
    match REGISTERED.get_or_init(register) {
        true => Ok(()),
        false => Err(Error::Chart("the font that is compiled in is damaged".into())),
    }
}

//! `loss.png`: loss and learning rate over the steps.

use std::path::Path;
use std::sync::OnceLock;

use edgeformer_models::atomic::write_atomically;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use plotters::prelude::{
    BitMapBackend, ChartBuilder, IntoDrawingArea, LineSeries, PathElement, SeriesLabelPosition,
};
use plotters::style::{BLACK, BLUE, Color, FontStyle, RED, RGBColor, WHITE, register_font};

use super::metrics::Line;
use crate::{Error, Result};

const SIZE: (u32, u32) = (960, 640);
const GREEN: RGBColor = RGBColor(0, 128, 64);

/// Draws the losses above the learning rate.
///
/// # Errors
/// If the picture cannot be written.
pub(super) fn draw(path: &Path, lines: &[Line]) -> Result<()> {
    let failed = |problem: String| Error::file(path, problem);
    font()?;
    let pick = |value: fn(&Line) -> Option<f64>| -> Vec<(f64, f64)> {
        let point = |line: &Line| Some((line.step as f64, value(line).filter(|v| v.is_finite())?));
        lines.iter().filter_map(point).collect()
    };
    let losses = [
        ("loss", pick(|line| line.loss), BLUE),
        ("validation loss", pick(|line| line.validation_loss), RED),
    ];
    let rates = [("learning rate", pick(|line| line.learning_rate), GREEN)];
    let mut pixels = vec![0; 3 * (SIZE.0 * SIZE.1) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(|error| failed(error.to_string()))?;
        let (upper, lower) = area.split_vertically(SIZE.1 * 2 / 3);
        panel(&upper, &losses).map_err(failed)?;
        panel(&lower, &rates).map_err(failed)?;
        area.present().map_err(|error| failed(error.to_string()))?;
    }
    let mut file = Vec::new();
    let encoder = PngEncoder::new(&mut file);
    let encoded = encoder.write_image(&pixels, SIZE.0, SIZE.1, ExtendedColorType::Rgb8);
    encoded.map_err(|error| failed(error.to_string()))?;
    Ok(write_atomically(path, |out| out.write_all(&file))?)
}

type Area<'a> = plotters::drawing::DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>;

/// A line of a panel: its name, its points, its colour.
type Series<'a> = (&'a str, Vec<(f64, f64)>, RGBColor);

fn panel(area: &Area<'_>, series: &[Series<'_>]) -> Result<(), String> {
    let points = || series.iter().flat_map(|(_, points, _)| points);
    if points().next().is_none() {
        return Ok(());
    }
    let range = |value: fn(&(f64, f64)) -> f64| {
        let (low, high) = points()
            .map(value)
            .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        // A flat line has a height too.
        let margin = ((high - low) * 0.05).max(high.abs() * 1e-3).max(1e-9);
        low - margin..high + margin
    };
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(64)
        .build_cartesian_2d(range(|point| point.0), range(|point| point.1))
        .map_err(|error| error.to_string())?;
    chart.configure_mesh().x_desc("step").draw().map_err(|error| error.to_string())?;
    for (name, points, color) in series.iter().filter(|(_, points, _)| !points.is_empty()) {
        let color = *color;
        chart
            .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))
            .map_err(|error| error.to_string())?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()
        .map_err(|error| error.to_string())
}

/// The font that comes with this program: a device at the edge may have none.
fn font() -> Result<()> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let font = || {
        register_font("sans-serif", FontStyle::Normal, epaint_default_fonts::HACK_REGULAR).is_ok()
    };
    match REGISTERED.get_or_init(font) {
        true => Ok(()),
        false => Err(Error::Request("the font of charts is damaged".into())),
    }
}

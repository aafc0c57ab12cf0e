//! Lines over a quantity.

use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::{ChartBuilder, IntoLogRange, LineSeries, PathElement, SeriesLabelPosition};
use plotters::style::{BLACK, Color, RGBColor, WHITE};

use super::canvas::{Area, COLORS, FONT, png, wrong};
use crate::Result;

/// Lines in one frame.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LineChart {
    /// What it shows, and on what it was measured.
    pub title: String,
    /// What goes to the right.
    pub x: String,
    /// What goes up: from zero, or on a logarithmic scale where the lines span too much for that.
    pub y: String,
    /// Whether the scale to the right is logarithmic too.
    pub log_x: bool,
    /// The lines.
    pub lines: Vec<Line>,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Line {
    /// What it is called.
    pub name: String,
    /// Its points, from left to right. What is not above zero has no place on a logarithmic scale
    /// and is left out.
    pub points: Vec<(f64, f64)>,
}

const SIZE: (u32, u32) = (960, 540);
/// The size of a chart that stands beside others.
const NARROW: (u32, u32) = (560, 420);
/// How many times the least the most may be for both to be seen on an axis that begins at zero.
const LINEAR: f64 = 20.0;

/// Draws a chart.
///
/// # Errors
/// If drawing fails.
pub fn lines(chart: &LineChart) -> Result<Vec<u8>> {
    png(SIZE, |area| draw_in(area, chart))
}

/// Draws charts from left to right.
///
/// # Errors
/// If drawing fails.
pub fn beside(charts: &[LineChart]) -> Result<Vec<u8>> {
    let count = charts.len().max(1);
    png((NARROW.0 * count as u32, NARROW.1), |area| {
        let parts = area.split_evenly((1, count));
        parts.iter().zip(charts).try_for_each(|(part, chart)| draw_in(part, chart))
    })
}

fn draw_in(area: &Area<'_>, chart: &LineChart) -> Result<()> {
    let shown = |&(x, y): &(f64, f64)| {
        x.is_finite() && y.is_finite() && y > 0.0 && (!chart.log_x || x > 0.0)
    };
    let lines: Vec<Line> = chart
        .lines
        .iter()
        .map(|line| Line {
            name: line.name.clone(),
            points: line.points.iter().copied().filter(shown).collect(),
        })
        .collect();
    let points = || lines.iter().flat_map(|line| &line.points);
    let (left, right) = range(points().map(|point| point.0));
    let (low, high) = range(points().map(|point| point.1));
    let x = left..right;
    // Above is room for the names.
    let (y, log_y) = (0.0..high * 1.3, (low / 1.1..high * (high / low).powf(0.2)).log_scale());
    match (chart.log_x, high > low * LINEAR) {
        (true, true) => draw(area, chart, &lines, x.log_scale(), log_y),
        (true, false) => draw(area, chart, &lines, x.log_scale(), y),
        (false, true) => draw(area, chart, &lines, x, log_y),
        (false, false) => draw(area, chart, &lines, x, y),
    }
}

/// From the least to the most, never empty.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    match least < most {
        true => (least, most),
        false if least.is_finite() => (least, least + 1.0),
        false => (1.0, 10.0),
    }
}

fn draw<X, Y>(area: &Area<'_>, chart: &LineChart, lines: &[Line], x: X, y: Y) -> Result<()>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut frame = ChartBuilder::on(area)
        .margin(16)
        .caption(&chart.title, (FONT, 16))
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(x, y)
        .map_err(wrong)?;
    frame
        .configure_mesh()
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .x_desc(&chart.x)
        .y_desc(&chart.y)
        .x_label_formatter(&|value| crate::output::short(*value))
        .y_label_formatter(&|value| crate::output::short(*value))
        .light_line_style(WHITE.mix(0.0))
        .draw()
        .map_err(wrong)?;
    for (line, color) in lines.iter().zip(COLORS.iter().copied().cycle()) {
        let sample = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], thick(color));
        frame
            .draw_series(LineSeries::new(line.points.iter().copied(), thick(color)))
            .map_err(wrong)?
            .label(&line.name)
            .legend(sample);
    }
    frame
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font((FONT, 13))
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .draw()
        .map_err(wrong)
}

fn thick(color: RGBColor) -> plotters::style::ShapeStyle {
    color.stroke_width(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GenericImageView, Rgba};

    fn chart(points: &[(f64, f64)], log_x: bool) -> LineChart {
        let lines = vec![Line { name: "one".into(), points: points.to_vec() }];
        LineChart { title: "t".into(), x: "x".into(), y: "y".into(), log_x, lines }
    }

    #[test]
    fn lines_go_through_their_points() {
        for log_x in [false, true] {
            let file = lines(&chart(&[(1.0, 1.0), (10.0, 100.0), (100.0, 10.0)], log_x)).unwrap();
            let image = image::load_from_memory(&file).unwrap();
            assert_eq!(image.dimensions(), SIZE);
            let color = Rgba([COLORS[0].0, COLORS[0].1, COLORS[0].2, 255]);
            let drawn = image.pixels().filter(|(_, _, pixel)| *pixel == color).count();
            assert!(drawn > 500, "{drawn}");
        }
    }

    #[test]
    fn points_without_a_place_are_left_out() {
        for points in [&[][..], &[(1.0, 2.0)], &[(0.0, 1.0), (5.0, 0.0), (f64::NAN, 3.0)]] {
            assert!(lines(&chart(points, true)).is_ok());
            assert!(lines(&chart(points, false)).is_ok());
        }
    }
}

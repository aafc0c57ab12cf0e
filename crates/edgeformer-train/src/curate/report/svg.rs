//! Plots as inline SVG, colours from the page's style.

use std::fmt::Write;

/// Values of records, and whether each record is kept.
pub type Values = Vec<(f64, bool)>;

const BINS: usize = 24;
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 200.0;
/// Room for the axis.
const FOOT: f64 = 34.0;
const HEAD: f64 = 16.0;

/// A bar of a chart: what it is, how many, and how many of them went on.
pub struct Bar<'a> {
    pub label: &'a str,
    pub all: usize,
    pub kept: usize,
}

/// Horizontal bars, what went on before what was dropped.
pub fn bars(bars: &[Bar<'_>]) -> String {
    const ROW: f64 = 26.0;
    const LABEL: f64 = 120.0;
    const NUMBERS: f64 = 130.0;
    let most = bars.iter().map(|bar| bar.all).max().unwrap_or(0).max(1) as f64;
    let height = ROW * bars.len() as f64;
    let mut svg = open(WIDTH + NUMBERS, height, "records by stage");
    for (row, bar) in bars.iter().enumerate() {
        let top = row as f64 * ROW;
        let scale = (WIDTH - LABEL) / most;
        let (kept, dropped) = (bar.kept as f64 * scale, (bar.all - bar.kept) as f64 * scale);
        text(&mut svg, LABEL - 8.0, top + 17.0, "end", bar.label);
        rectangle(&mut svg, "kept", LABEL, top + 4.0, kept, ROW - 8.0);
        rectangle(&mut svg, "dropped", LABEL + kept, top + 4.0, dropped, ROW - 8.0);
        let numbers = format!("{} of {}", bar.kept, bar.all);
        text(&mut svg, LABEL + kept + dropped + 8.0, top + 17.0, "start", &numbers);
    }
    svg + "</svg>"
}

/// A histogram, what is kept below what was dropped.
pub fn histogram(title: &str, values: &Values) -> String {
    let finite = || values.iter().filter(|(value, _)| value.is_finite());
    let low = finite().map(|(value, _)| *value).fold(f64::INFINITY, f64::min);
    let high = finite().map(|(value, _)| *value).fold(f64::NEG_INFINITY, f64::max);
    let mut svg = open(WIDTH, HEIGHT, title);
    if low > high {
        return svg + "</svg>";
    }
    let width = (high - low).max(f64::MIN_POSITIVE) / BINS as f64;
    let mut bins = [(0usize, 0usize); BINS];
    for &(value, kept) in finite() {
        let bin = (((value - low) / width) as usize).min(BINS - 1);
        let (all, of_them) = &mut bins[bin];
        *all += 1;
        *of_them += usize::from(kept);
    }
    let most = bins.iter().map(|(all, _)| *all).max().unwrap_or(0).max(1) as f64;
    let (step, room) = (WIDTH / BINS as f64, HEIGHT - FOOT - HEAD);
    for (place, (all, kept)) in bins.into_iter().enumerate() {
        let left = place as f64 * step;
        let bottom = HEAD + room;
        let (below, above) = (kept as f64 / most * room, (all - kept) as f64 / most * room);
        rectangle(&mut svg, "kept", left, bottom - below, step - 1.0, below);
        rectangle(&mut svg, "dropped", left, bottom - below - above, step - 1.0, above);
    }
    let axis = HEIGHT - FOOT + 14.0;
    text(&mut svg, 0.0, axis, "start", &number(low));
    text(&mut svg, WIDTH / 2.0, axis, "middle", &number((low + high) / 2.0));
    text(&mut svg, WIDTH, axis, "end", &number(high));
    text(&mut svg, WIDTH / 2.0, HEIGHT - 4.0, "middle", title);
    text(&mut svg, 0.0, 11.0, "start", &format!("{most} records"));
    svg + "</svg>"
}

/// Three digits behind the point, or none where there is nothing behind it.
fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.3}") }
}

fn open(width: f64, height: f64, label: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">",
        escape(label)
    )
}

fn rectangle(svg: &mut String, class: &str, x: f64, y: f64, width: f64, height: f64) {
    if width <= 0.0 || height <= 0.0 {
        return;
    }
    write!(
        svg,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
    )
    .expect("a String takes everything");
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escape(text))
        .expect("a String takes everything");
}

/// Text within a page: nothing in it is markup.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // Control characters may not stand in a page, not even escaped.
            letter if letter.is_control() && letter != '\n' => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bin() {
        let values: Values = (0..100).map(|value| (f64::from(value), value % 2 == 0)).collect();
        let svg = histogram("loss", &values);
        assert_eq!(svg.matches("<rect class=\"kept\"").count(), BINS);
        assert_eq!(svg.matches("<rect class=\"dropped\"").count(), BINS);
        assert!(svg.contains(">0<") && svg.contains(">99<") && svg.contains("49.500"), "{svg}");
        let one = histogram("loss", &vec![(2.0, true)]);
        assert_eq!(one.matches("<rect").count(), 1);
        assert!(!histogram("loss", &vec![(f64::NAN, true)]).contains("<rect"));
    }

    #[test]
    fn bars_are_as_long_as_their_numbers() {
        let svg =
            bars(&[Bar { label: "a<b", all: 4, kept: 1 }, Bar { label: "c", all: 1, kept: 1 }]);
        assert!(svg.contains("a&lt;b") && svg.contains("1 of 4"), "{svg}");
        assert!(svg.contains("width=\"90.0\"") && svg.contains("width=\"270.0\""), "{svg}");
    }

    #[test]
    fn markup_is_text() {
        assert_eq!(escape("<a href=\"x\">&\u{1b}"), "&lt;a href=&quot;x&quot;&gt;&amp;\u{fffd}");
    }
}

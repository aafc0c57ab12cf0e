//! Figures as people read them.

use crate::Spread;

/// Bytes in the largest unit that leaves a figure before the point.
pub fn bytes(count: u64) -> String {
    let count = count as f64;
    match count {
        _ if count < 1024.0 => format!("{count} B"),
        _ if count < 1024.0 * 1024.0 => format!("{:.1} KiB", count / 1024.0),
        _ if count < 1024.0 * 1024.0 * 1024.0 => format!("{:.1} MiB", count / (1024.0 * 1024.0)),
        _ => format!("{:.2} GiB", count / (1024.0 * 1024.0 * 1024.0)),
    }
}

/// Three significant digits, more before the point where there are more.
pub fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size < 0.001 => format!("{value:.2e}"),
        size if size < 1.0 => {
            let leading = (-size.log10()).ceil() as usize;
            format!("{value:.*}", leading + 2)
        }
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A median with its spread: `1234 ±2 %`.
pub fn rate(spread: &Spread) -> String {
    match spread.count {
        1 => short(spread.median),
        _ => format!("{} ±{:.0} %", short(spread.median), spread.relative() * 100.0),
    }
}

/// A multiple of the peer: `0.98x`.
pub fn ratio(ratio: f64) -> String {
    format!("{ratio:.2}x")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let shown: Vec<String> =
            [0.0, 0.000_123_4, 0.001_234, 0.0567, 0.5, 1.0, 9.994, 12.34, 5678.9]
                .map(short)
                .to_vec();
        assert_eq!(
            shown,
            ["0", "1.23e-4", "0.00123", "0.0567", "0.500", "1.00", "9.99", "12.3", "5679"]
        );
        assert_eq!(short(-0.25), "-0.250");
    }

    #[test]
    fn bytes_have_units() {
        let shown = [1, 1023, 1024, 5 << 20, 3 << 30].map(bytes);
        assert_eq!(shown, ["1 B", "1023 B", "1.0 KiB", "5.0 MiB", "3.00 GiB"]);
    }

    #[test]
    fn spreads_are_shown_where_there_is_one() {
        let spread = |values: &[f64]| rate(&Spread::of(values).unwrap());
        assert_eq!(spread(&[90.0, 100.0, 110.0]), "100 ±10 %");
        assert_eq!(spread(&[12.0]), "12.0");
    }
}

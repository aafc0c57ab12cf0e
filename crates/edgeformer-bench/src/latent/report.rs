use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::{Crossover, Dimensions, LatentSize, SpanFigures};
use crate::output::chart::{Line, LineChart, lines};
use crate::output::{Report, Table, ratio, short};
use crate::subject::ModelRecord;
use crate::{Machine, Result, Spread};

/// What a latent cache takes, and when its two forms cross.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatentReport {
    /// On what it was measured.
    pub machine: Machine,
    /// What was called.
    pub command: String,
    /// The model.
    pub model: ModelRecord,
    /// The widths of its attention.
    pub dimensions: Dimensions,
    /// A cache that was filled.
    pub size: LatentSize,
    /// Both forms.
    pub crossover: Crossover,
}

impl LatentReport {
    fn sizes(&self) -> Table {
        let size = &self.size;
        let mut table = Table::new(["cache", "elements per token and layer", "bytes", "ratio"]);
        let mut row = |name: &str, elements: usize, bytes: u64| {
            let times = bytes as f64 / size.measured.max(1) as f64;
            table.row([name.into(), elements.to_string(), bytes.to_string(), ratio(times)]);
        };
        row("latent, in use", size.elements, size.measured);
        row("latent, planned", size.elements, size.planned);
        row("expanded keys and values", size.expanded_elements, size.expanded);
        table
    }

    fn forms(&self) -> Table {
        let mut table = Table::new([
            "query tokens",
            "absorbed, tokens/s",
            "expanded, tokens/s",
            "expanded to absorbed",
        ]);
        for span in &self.crossover.spans {
            let rate = |seconds: &Spread| {
                let spread = format!("±{:.0} %", seconds.relative() * 100.0);
                format!("{} {spread}", short(span.tokens as f64 / seconds.median))
            };
            let cells = [rate(&span.absorbed), rate(&span.expanded), ratio(span.ratio)];
            table.row(std::iter::once(span.tokens.to_string()).chain(cells));
        }
        table
    }

    fn crossings(&self) -> String {
        let shown = |crossing: Option<f64>| {
            crossing.map_or("none".into(), |tokens| format!("{tokens:.0} query tokens"))
        };
        let Crossover { context, formula, measured, .. } = self.crossover;
        format!(
            "Behind {context} tokens of context expanding pays from: {} by products, {} by time.\n",
            shown(formula),
            shown(measured)
        )
    }
}

impl Report for LatentReport {
    fn name(&self) -> &'static str {
        "latent"
    }

    fn to_markdown(&self) -> String {
        let size = &self.size;
        let mut text = format!("{}\n\n{}\n\n", self.machine.to_line(), self.model.to_line());
        writeln!(
            text,
            "`{}`: {} tokens in {} layers, {}, read at {} tokens/s; keys and values would take \
             {} times as many elements.\n",
            self.command,
            size.tokens,
            size.layers,
            size.format.name(),
            short(size.prefill),
            short(size.ratio()),
        )
        .expect("a string takes what it is given");
        text + &self.sizes().to_markdown()
            + "\n"
            + &self.crossings()
            + "\n"
            + &self.forms().to_markdown()
    }

    fn to_png(&self) -> Result<Vec<u8>> {
        let line = |name: &str, seconds: fn(&SpanFigures) -> f64| Line {
            name: name.into(),
            points: self
                .crossover
                .spans
                .iter()
                .map(|span| (span.tokens as f64, 1e3 * seconds(span)))
                .collect(),
        };
        let (name, context) = (&self.model.name, self.crossover.context);
        lines(&LineChart {
            title: format!("Latent attention: {name}, behind {context} tokens"),
            x: "query tokens of a step".into(),
            y: "milliseconds of the step".into(),
            log_x: true,
            lines: vec![
                line("absorbed", |span| span.absorbed.median),
                line("expanded", |span| span.expanded.median),
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use edgeformer_core::CacheFormat;

    #[test]
    fn tables_lay_the_latent_cache_beside_the_expanded_one() {
        let dimensions = Dimensions { heads: 16, rank: 512, nope: 128, rope: 64, value: 128 };
        let span = |tokens: usize, absorbed: f64, expanded: f64| SpanFigures {
            tokens,
            absorbed: Spread::of(&[absorbed]).unwrap(),
            expanded: Spread::of(&[expanded]).unwrap(),
            ratio: absorbed / expanded,
        };
        let report = LatentReport {
            machine: Machine::made_up(),
            command: "cargo xtask bench latent".into(),
            model: ModelRecord::made_up(),
            dimensions,
            size: LatentSize {
                tokens: 100,
                layers: 2,
                format: CacheFormat::F16,
                elements: 576,
                expanded_elements: 5120,
                planned: 230_400,
                measured: 230_400,
                expanded: 2_048_000,
                prefill: 250.0,
            },
            crossover: Crossover {
                context: 2048,
                spans: vec![span(1, 0.01, 0.05), span(256, 0.5, 0.25)],
                formula: dimensions.crossover(2048),
                measured: Some(138.0),
            },
        };
        insta::assert_snapshot!(report.to_markdown());
        let image = image::load_from_memory(&report.to_png().unwrap()).unwrap();
        assert_eq!((image.width(), image.height()), (960, 540));
    }
}

use std::fmt::Write;

use edgeformer::tuning::Tuning;
use serde::{Deserialize, Serialize};

use super::{Figures, SetupFigures};
use crate::output::chart::{Bar, Panel, bars};
use crate::output::{Report, Table, short};
use crate::subject::ModelRecord;
use crate::{Machine, Result};

/// What tuning found, and the sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneReport {
    /// On what it was measured.
    pub machine: Machine,
    /// What was called.
    pub command: String,
    /// The model.
    pub model: ModelRecord,
    /// What tuning found.
    pub tuning: Tuning,
    /// The sweep, by kind of work.
    pub figures: Vec<Figures>,
}

impl TuneReport {
    fn verdicts(&self) -> String {
        let percent = |share: Option<f64>| {
            share.map_or("not measured".into(), |share| format!("{:.1} %", share * 100.0))
        };
        let verdict = |figures: &Figures| {
            format!(
                "{}: the usual setup does {} of the best, the tuned one {}.\n",
                figures.kind.name(),
                percent(figures.share_of_best(|setup| setup.usual)),
                percent(figures.share_of_best(|setup| setup.tuned)),
            )
        };
        self.figures.iter().map(verdict).collect()
    }

    fn table(&self) -> Table {
        let mut table = Table::new(["setup", "case", "tokens/s", "to the best", ""]);
        for figures in &self.figures {
            for setup in &figures.setups {
                let rate = setup.tokens_per_second;
                table.row([
                    setup.label.clone(),
                    figures.kind.name(),
                    format!("{} ±{:.0} %", short(rate.median), rate.relative() * 100.0),
                    format!("{:.2}", rate.median / figures.best()),
                    marks(setup).into(),
                ]);
            }
        }
        table
    }
}

fn marks(setup: &SetupFigures) -> &'static str {
    match (setup.usual, setup.tuned) {
        (true, true) => "usual, tuned",
        (true, false) => "usual",
        (false, true) => "tuned",
        (false, false) => "",
    }
}

impl Report for TuneReport {
    fn name(&self) -> &'static str {
        "tune"
    }

    fn to_markdown(&self) -> String {
        let mut text = format!("{}\n\n{}\n\n", self.machine.to_line(), self.model.to_line());
        let seconds = self.tuning.seconds;
        writeln!(text, "`{}`: tuning took {seconds:.1} s.\n", self.command)
            .expect("a string takes what it is given");
        for line in self.tuning.explain() {
            writeln!(text, "- {line}").expect("a string takes what it is given");
        }
        text + "\n" + &self.verdicts() + "\n" + &self.table().to_markdown()
    }

    fn to_png(&self) -> Result<Vec<u8>> {
        let panel = |figures: &Figures| Panel {
            title: format!("{}, tokens/s", figures.kind.name()),
            bars: figures
                .setups
                .iter()
                .map(|setup| Bar {
                    label: setup.label.clone(),
                    value: Some(setup.tokens_per_second.median),
                    text: format!("{} {}", short(setup.tokens_per_second.median), marks(setup)),
                })
                .collect(),
        };
        let panels: Vec<Panel> = self.figures.iter().map(panel).collect();
        let title = format!("Tuning {} beside every setup", self.model.name);
        bars(&title, &self.machine.to_line(), &panels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spread;
    use crate::tune::Kind;
    use edgeformer::tuning::{Choices, Setup, Trial};
    use edgeformer_core::{CacheFormat, LatentForm};

    #[test]
    fn reports_say_how_far_from_the_best_the_tuned_setup_is() {
        let setup = Setup {
            threads: 2,
            threads_batch: 2,
            repack: true,
            chunk: 512,
            cache_type: CacheFormat::F16,
            latent_form: LatentForm::Auto,
        };
        let figures = |label: &str, usual, tuned, rates: &[f64]| SetupFigures {
            label: label.into(),
            setup,
            usual,
            tuned,
            tokens_per_second: Spread::of(rates).unwrap(),
        };
        let trial = |value: &str, rate, chosen: bool| Trial {
            setting: "threads".into(),
            value: value.into(),
            tokens_per_second: rate,
            noise: 0.02,
            rounds: 5,
            usual: !chosen,
            chosen,
        };
        let report = TuneReport {
            machine: Machine::made_up(),
            command: "cargo xtask bench tune".into(),
            model: ModelRecord::made_up(),
            tuning: Tuning {
                choices: Choices { threads: Some(1), ..Choices::default() },
                trials: vec![trial("2", 40.0, false), trial("1", 50.0, true)],
                skipped: Vec::new(),
                seconds: 4.25,
            },
            figures: vec![Figures {
                kind: Kind::Decode { tokens: 16, depth: 64 },
                setups: vec![
                    figures("2 threads", true, false, &[39.0, 40.0, 41.0]),
                    figures("1 threads", false, true, &[49.0, 50.0, 51.0]),
                ],
            }],
        };
        insta::assert_snapshot!(report.to_markdown());
        assert!(image::load_from_memory(&report.to_png().unwrap()).is_ok());
    }
}

//! Attention on its way through `convert`: what is asked for, and what it kept and cost.

use std::fmt::Write;
use std::path::Path;

use edgeformer::EngineOptions;
use edgeformer::attention_conversion::{
    Conversion, ConversionReport, ConversionTexts, Cost, GqaOptions, Judge, MlaOptions,
};
use edgeformer_models::checkpoint::Checkpoint;
use serde::Serialize;

use crate::args::{self, Kind, ModelArgs};
use crate::eval::subject::for_windows;
use crate::failure::Failure;
use crate::progress::{Working, watched};

/// What became of attention.
#[derive(Serialize)]
pub struct Attention<'a> {
    attention: &'static str,
    /// The text it was calibrated with.
    calibration: Option<&'a Path>,
    /// Bytes that a token takes in the cache, at two bytes a number: before and after.
    cache_bytes_per_token: [usize; 2],
    #[serde(flatten)]
    report: ConversionReport,
    /// Perplexity before and after, of text that nothing was calibrated with.
    cost: Option<Cost>,
}

/// A conversion that was done, and is to be judged when its result is written.
pub struct Done<'a> {
    attention: Attention<'a>,
    judge: Option<Judge>,
}

/// What the arguments ask for; `None` leaves attention as it is.
///
/// # Errors
/// If options of one conversion stand beside the other.
pub fn asked(arguments: &args::Attention) -> Result<Option<Conversion>, Failure> {
    let Some(kind) = arguments.attention else { return Ok(None) };
    let given = [
        ("--groups", Kind::Gqa, arguments.groups.is_some()),
        ("--align", Kind::Gqa, arguments.align.is_some()),
        ("--rank", Kind::Mla, arguments.rank.is_some()),
        ("--rope-dims", Kind::Mla, arguments.rope_dims.is_some()),
        ("--norm", Kind::Mla, arguments.norm.is_some()),
        ("--weighting", Kind::Mla, arguments.weighting.is_some()),
    ];
    if let Some((option, of, _)) = given.iter().find(|(_, of, given)| *given && *of != kind) {
        let problem = format!("{option} belongs to --attention {}: leave it out", name(*of));
        return Err(Failure::Usage(problem));
    }
    Ok(Some(match kind {
        Kind::Gqa => Conversion::Gqa(GqaOptions {
            // The parser wants it for gqa.
            groups: arguments.groups.unwrap_or_default(),
            align: arguments.align.map(Into::into).unwrap_or_default(),
        }),
        Kind::Mla => Conversion::Mla(MlaOptions {
            rank: arguments.rank,
            rope_dims: arguments.rope_dims,
            norm: arguments.norm.map(Into::into).unwrap_or_default(),
            weighting: arguments.weighting.map(Into::into).unwrap_or_default(),
        }),
    }))
}

/// Converts, by what the model reads in the calibration's text where there is one.
pub fn convert<'a>(
    command: &'a args::Convert,
    conversion: &Conversion,
    checkpoint: &Checkpoint,
) -> Result<(Checkpoint, Done<'a>), Failure> {
    let judge = judge(command)?;
    let working = Working::on("converting attention", command.quiet);
    let calibration = judge.as_ref().map(Judge::calibration);
    let (converted, report) = conversion.apply(checkpoint, calibration)?;
    drop(working);
    let attention = Attention {
        attention: match conversion {
            Conversion::Gqa(_) => name(Kind::Gqa),
            Conversion::Mla(_) => name(Kind::Mla),
        },
        calibration: command.attention.calibration.as_deref(),
        cache_bytes_per_token: report.cache_bytes(),
        report,
        cost: None,
    };
    Ok((converted, Done { attention, judge }))
}

fn judge(command: &args::Convert) -> Result<Option<Judge>, Failure> {
    let Some(text) = &command.attention.calibration else {
        if !command.quiet {
            eprintln!(
                "attention is converted by its weights alone: a text (--calibration) keeps more, and measures the cost"
            );
        }
        return Ok(None);
    };
    let texts = ConversionTexts {
        calibration: text.clone(),
        held_out: None,
        chunks: command.attention.chunks,
    };
    let config = ModelArgs::default().config_without_adapter(Some(&command.input))?;
    let options = EngineOptions { context: config.ctx_size, ..for_windows(&config) };
    let judge = watched(command.quiet, |told| Judge::open(&command.input, &texts, &options, told))?;
    Ok(Some(judge))
}

impl<'a> Done<'a> {
    /// Measures what was written.
    pub fn judged(self, command: &args::Convert) -> Result<Attention<'a>, Failure> {
        let Some(judge) = self.judge else { return Ok(self.attention) };
        let measured = watched(command.quiet, |told| judge.cost(&command.output, told));
        let cost = measured.map_err(|error| {
            let output = command.output.display();
            Failure::Failed(format!("{output} is written, but not what it costs measured: {error}"))
        })?;
        Ok(Attention { cost: Some(cost), ..self.attention })
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Gqa => "gqa",
        Kind::Mla => "mla",
    }
}

impl Attention<'_> {
    /// For people.
    pub fn told(&self) -> String {
        let mut text = String::new();
        let mut line = |line: String| writeln!(text, "{line}").expect("a String takes everything");
        let [before, after] = self.cache_bytes_per_token;
        line(format!(
            "attention {}: {before} bytes of cache a token become {after} ({:.3} of it), in f16",
            self.attention,
            after as f64 / before.max(1) as f64
        ));
        line("  layer    keys kept  values kept".into());
        for layer in &self.report.layers {
            let [keys, values] = [layer.keys, layer.values].map(|kept| 100.0 * kept);
            line(format!("  {:>5} {keys:>10.2} % {values:>10.2} %", layer.layer));
        }
        match self.report.not_portable.as_slice() {
            [] => line("other runtimes read it as they read others of its architecture".into()),
            reasons => line(format!("EdgeFormer alone reads it: {}", reasons.join("; "))),
        }
        line(self.cost.as_ref().map_or_else(
            || "what it costs was not measured: --calibration FILE does".into(),
            told_cost,
        ));
        text
    }
}

/// Never that it is free: a text that shows nothing is no proof.
fn told_cost(cost: &Cost) -> String {
    let Cost { before, after } = cost;
    let change = 100.0 * (cost.ratio() - 1.0);
    let verdict = match cost.is_unclear() {
        true => format!(
            "it costs {change:+.2} %, within the error of {} tokens: more text would show more",
            after.tokens
        ),
        false => format!("it costs {change:+.2} %"),
    };
    format!(
        "perplexity {:.4} +/- {:.4} became {:.4} +/- {:.4} on {} tokens held out: {verdict}",
        before.perplexity,
        before.perplexity_error,
        after.perplexity,
        after.perplexity_error,
        after.tokens
    )
}

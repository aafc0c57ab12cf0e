use std::fmt::Write;

use edgeformer::evaluate::{self, Activations, read_text};

use super::perplexity::windows;
use super::watch::watched;
use super::{percent, subject};
use crate::args::Kl;
use crate::failure::Outcome;
use crate::output;

pub fn run(command: &Kl) -> Outcome {
    let config = command.run.model.config_with(&command.cache)?;
    let text = read_text(&command.windows.text)?;
    let options = subject::for_windows(&config);
    let path = Some(command.reference.as_path());
    let reference = subject::open(&config, path, &options, Activations::AsUsual)?;
    let candidate = subject::open(&config, None, &options, command.activations.into())?;
    candidate.check_vocabulary(&reference)?;
    let windows = windows(&candidate, &text, &command.windows)?;
    let found = watched("divergence", &command.run, &config, &options, |control| {
        evaluate::compare(&reference, &candidate, &windows, control)
    })?;
    if command.run.json {
        return output::show_json(&found);
    }
    Ok(output::show(&table(&found))?)
}

fn table(kl: &evaluate::Kl) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name:<22}{value}").expect("a String takes everything");
    };
    let (mean, ratio) = (kl.kl_mean_ci95, kl.perplexity_ratio_ci95);
    line("KL divergence", format!("{:.6} ({:.6} to {:.6})", kl.kl_mean, mean.low, mean.high));
    line("  median, 90 %, 99 %", format!("{:.6} {:.6} {:.6}", kl.kl_median, kl.kl_p90, kl.kl_p99));
    line("  largest", format!("{:.6}", kl.kl_max));
    line("same likeliest token", percent(kl.top1_agreement, kl.top1_agreement_ci95));
    line("perplexity", format!("{:.4} +/- {:.5}", kl.perplexity, kl.perplexity_error));
    let (perplexity, error) = (kl.reference_perplexity, kl.reference_perplexity_error);
    line("  of the reference", format!("{perplexity:.4} +/- {error:.5}"));
    line("  ratio", format!("{:.6} ({:.6} to {:.6})", kl.perplexity_ratio, ratio.low, ratio.high));
    let (change, rms) = (kl.p_change_mean * 100.0, kl.p_change_rms * 100.0);
    line("right token's share", format!("{change:+.3} % mean, {rms:.3} % rms"));
    line("tokens", format!("{} in {} windows of {}", kl.tokens, kl.chunks, kl.ctx_size));
    line("95 % intervals from", format!("the spread of {}", kl.intervals_from));
    line("\nposition", "   KL        nll       nll of the reference".into());
    for at in &kl.by_position {
        let nll = format!("{:<10.4}{:.4}", at.nll, at.reference_nll);
        line(&format!("{} to {}", at.from, at.to), format!("   {:<10.6}{nll}", at.kl));
    }
    text
}

use std::collections::BTreeMap;
use std::fmt::Write;

use edgeformer::quantize::{Quantized, Report, Request, Size, quantize};

use crate::args;
use crate::eval::subject::for_windows;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::progress::watched;
use crate::report::mebibytes;

pub fn run(command: &args::Quantize) -> Outcome {
    let config = command.model.config_without_adapter(Some(&command.input))?;
    let size = match (command.format, command.target_bpw) {
        (Some(mixture), _) => Size::Mixture(mixture),
        (None, Some(bits)) => Size::BitsPerWeight(bits),
        (None, None) => return Err(Failure::Usage("name --format or --target-bpw".into())),
    };
    if !(0.0..=1.0).contains(&command.smooth_alpha) {
        return Err(Failure::Usage("--smooth-alpha is a number from 0 to 1".into()));
    }
    let request = Request {
        input: command.input.clone(),
        output: command.output.clone(),
        size,
        method: command.method.into(),
        clip_search: !command.no_clip_search,
        imatrix: command.imatrix.clone(),
        hessians: command.hessians.clone(),
        text: command.text.text.clone(),
        chunks: command.text.chunks,
        rotate: command.rotate,
        smooth_alpha: command.smooth_alpha,
        force: command.force,
        allow_requantize: command.allow_requantize,
        allow_nonfinite: command.allow_nonfinite,
    };
    let options = for_windows(&config);
    let done = watched(config.quiet, |told| quantize(&request, &options, told))?;
    if command.json {
        return output::show_json(&done);
    }
    Ok(output::show(&told(&done))?)
}

fn told(done: &Quantized) -> String {
    let report = &done.report;
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("a String takes everything");
    line(format!(
        "{}: {} by {}, {}, {:.3} bits a weight, {:.1} s",
        report.file.display(),
        report.format,
        report.method,
        mebibytes(report.bytes),
        report.bits_per_weight,
        done.seconds
    ));
    if let Some(calibrated) = &done.calibrated_with {
        line(format!("calibrated with {calibrated}"));
    }
    for way in &done.tried {
        line(format!("  {:<32} KL {:.6}, {}", way.what, way.kl_mean, mebibytes(way.bytes)));
    }
    for ((format, reason), count) in fallen(report) {
        let tensors = if count == 1 { "tensor is" } else { "tensors are" };
        line(format!("  {count} {tensors} {format}: {reason}"));
    }
    text
}

/// Tensors that do not have the format that they should, counted by format and reason.
fn fallen(report: &Report) -> BTreeMap<(&str, &str), usize> {
    let mut counts = BTreeMap::new();
    for tensor in &report.tensors {
        let Some(reason) = tensor.fallback.as_deref() else { continue };
        *counts.entry((tensor.format.name(), reason)).or_insert(0) += 1;
    }
    counts
}

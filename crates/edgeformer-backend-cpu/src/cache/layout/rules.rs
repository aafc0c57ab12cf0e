//! Which options go together.

use edgeformer_core::graph::CacheSlot;
use edgeformer_core::{CacheFormat, Error, Result, SessionOptions, Tiers, Visibility, Window};

/// Checks what the options alone can tell.
pub(super) fn check(options: &SessionOptions) -> Result<()> {
    for (what, number) in [
        ("context", options.context),
        ("sequences", options.sequences),
        ("chunk", options.chunk),
        ("page_tokens", options.page_tokens),
    ] {
        if number == 0 {
            return refuse(format!("{what} is 0, it must be at least 1"));
        }
    }
    if options.cache_type_v == CacheFormat::Q4_0H {
        return refuse(
            "cache_type_v is q4_0h: values are summed up and cannot be rotated; use q4_0".into(),
        );
    }
    check_visibility(&options.visibility)?;
    check_tiers(&options.tiers)?;
    check_eviction(options)
}

fn check_visibility(visibility: &Visibility) -> Result<()> {
    match visibility.window {
        Window::Tokens(0) => refuse("visibility.window is 0, it must be at least 1".into()),
        Window::Adaptive { least, most } if least == 0 || least > most => refuse(format!(
            "visibility.window adapts between {least} and {most}: the least must be at least 1 and at most the most"
        )),
        _ if visibility.attend_pages == Some(0) => {
            refuse("visibility.attend_pages is 0, it must be at least 1".into())
        }
        _ => Ok(()),
    }
}

fn check_tiers(tiers: &Tiers) -> Result<()> {
    match tiers {
        Tiers { cold: Some(_), spill: Some(_), .. } => {
            refuse("tiers.cold and tiers.spill are both set: set one of them".into())
        }
        Tiers { budget: None, cold: Some(_), .. } => refuse(
            "tiers.cold is set and tiers.budget is not: set the bytes that pages may take".into(),
        ),
        Tiers { budget: None, spill: Some(_), .. } => refuse(
            "tiers.spill is set and tiers.budget is not: set the bytes that pages may take".into(),
        ),
        _ => Ok(()),
    }
}

/// Eviction moves entries about: nothing else may rely on where they are.
fn check_eviction(options: &SessionOptions) -> Result<()> {
    let SessionOptions { visibility, tiers, .. } = options;
    let Some(eviction) = visibility.eviction else { return Ok(()) };
    if eviction.keep == 0 {
        return refuse("visibility.eviction keeps 0 entries, it must keep at least 1".into());
    }
    let others = [
        (visibility.window != Window::Model, "visibility.window"),
        (visibility.sinks > 0, "visibility.sinks"),
        (visibility.attend_pages.is_some(), "visibility.attend_pages"),
        (tiers.cold.is_some(), "tiers.cold"),
        (tiers.spill.is_some(), "tiers.spill"),
        (options.cache_type_k.is_quantized(), "a quantized cache_type_k"),
        (options.cache_type_v.is_quantized(), "a quantized cache_type_v"),
    ];
    match others.into_iter().find(|(set, _)| *set) {
        Some((_, other)) => refuse(format!(
            "visibility.eviction and {other} exclude each other: leave one of them out"
        )),
        None => Ok(()),
    }
}

/// Elements under one scale in rows that may be in any of `formats`. `width` is divisible by the
/// powers of two by which all `parts` are.
///
/// # Errors
/// If a quantized format has no block for them.
pub(super) fn block(
    slot: CacheSlot,
    what: &str,
    mut formats: impl Iterator<Item = CacheFormat>,
    width: usize,
    parts: &[usize; 2],
) -> Result<usize> {
    let Some(format) = formats.find(|format| format.is_quantized()) else { return Ok(1) };
    if width == 0 {
        return Ok(1);
    }
    format.block(width).ok_or_else(|| {
        let parts = parts.iter().filter(|part| **part > 0).map(usize::to_string);
        let parts: Vec<_> = parts.collect();
        Error::Config(format!(
            "{} needs rows of a multiple of 8 elements, the {what} of layer {} are {} wide: use f16 or f32",
            format.name(),
            slot.0,
            parts.join(" + ")
        ))
    })
}

fn refuse(problem: String) -> Result<()> {
    Err(Error::Config(problem))
}

use edgeformer_core::graph::Unfold;
use edgeformer_core::{Error, Input};

use crate::error::Result;

/// The tokens of all inputs.
pub(super) fn tokens(inputs: &[Input<'_>]) -> Result<Vec<u32>> {
    let mut all = Vec::new();
    for input in inputs {
        match input {
            Input::Tokens(tokens) if !tokens.is_empty() => all.extend_from_slice(tokens),
            Input::Tokens(_) => return Err(Error::Step("an input has no token".into()).into()),
            _ => return Err(Error::Step("the graph's input is text".into()).into()),
        }
    }
    Ok(all)
}

/// Tokens of an input.
pub(super) fn len(input: &Input<'_>) -> usize {
    match input {
        Input::Tokens(tokens) => tokens.len(),
        Input::Pixels(_) | Input::Signal(_) => 0,
    }
}

/// The windows of all inputs, each `[channels, kernel]`, zeros outside; and how many each has.
pub(super) fn unfold(unfold: &Unfold, inputs: &[Input<'_>]) -> Result<(Vec<f32>, usize)> {
    let [down, across] = unfold.patches().unwrap_or_default();
    let mut windows = Vec::with_capacity(inputs.len() * down * across * unfold.patch_len());
    for input in inputs {
        let (Input::Pixels(values) | Input::Signal(values)) = input else {
            return Err(Error::Step("the graph's input is no text".into()).into());
        };
        if values.len() != unfold.input_len() {
            let (found, needed) = (values.len(), unfold.input_len());
            let problem = format!("an input of {found} values, the graph takes {needed}");
            return Err(Error::Step(problem).into());
        }
        for patch in 0..down * across {
            window(unfold, values, [patch / across, patch % across], &mut windows);
        }
    }
    Ok((windows, down * across))
}

fn window(unfold: &Unfold, values: &[f32], place: [usize; 2], windows: &mut Vec<f32>) {
    let &Unfold { channels, size, kernel, stride, padding } = unfold;
    // Where a tap falls, if it is inside.
    let inside = |axis: usize, tap: usize| {
        let at = (place[axis] * stride[axis] + tap).checked_sub(padding[axis])?;
        (at < size[axis]).then_some(at)
    };
    for channel in 0..channels {
        for tap_y in 0..kernel[0] {
            for tap_x in 0..kernel[1] {
                let value = match (inside(0, tap_y), inside(1, tap_x)) {
                    (Some(y), Some(x)) => values[(channel * size[0] + y) * size[1] + x],
                    _ => 0.0,
                };
                windows.push(value);
            }
        }
    }
}

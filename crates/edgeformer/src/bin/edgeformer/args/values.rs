use edgeformer::config::{AdapterSetting, ByteSize, SpeculateSetting, WindowSetting};
use edgeformer::{CacheFormat, EvictionPolicy, LatentForm, Pooling};

pub fn is_false(flag: &bool) -> bool {
    !flag
}

/// A flag that switches something off.
pub fn negated<S: serde::Serializer>(flag: &bool, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bool(!flag)
}

pub fn cache_format(text: &str) -> Result<CacheFormat, String> {
    text.parse().map_err(problem)
}

pub fn adapter(text: &str) -> Result<AdapterSetting, String> {
    text.parse().map_err(problem)
}

pub fn size(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(problem)
}

pub fn window(text: &str) -> Result<WindowSetting, String> {
    text.parse().map_err(problem)
}

pub fn eviction(text: &str) -> Result<EvictionPolicy, String> {
    text.parse().map_err(problem)
}

pub fn speculate(text: &str) -> Result<SpeculateSetting, String> {
    text.parse().map_err(problem)
}

pub fn latent_form(text: &str) -> Result<LatentForm, String> {
    text.parse().map_err(problem)
}

/// A number of things: at least one.
pub fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| format!("{text:?} is no number of things: write 1 or more"))
}

/// A share of a whole: more than 0, at most 1.
pub fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| format!("{text:?} is no share: write a number above 0 and at most 1"))
}

/// What is wrong, without saying that it is about the configuration: clap names the argument.
fn problem(error: edgeformer_core::Error) -> String {
    match error {
        edgeformer_core::Error::Config(problem) => problem,
        error => error.to_string(),
    }
}

pub fn pooling(text: &str) -> Result<Pooling, String> {
    match text {
        "mean" => Ok(Pooling::Mean),
        "cls" => Ok(Pooling::Cls),
        _ => Err("known are mean and cls".into()),
    }
}

/// `15043+1.5`, `15043-inf`, as llama.cpp writes it.
pub fn logit_bias(text: &str) -> Result<(u32, f32), String> {
    let wrong = || format!("{text:?} is not TOKEN+BIAS or TOKEN-BIAS");
    let at = text.find(['+', '-']).ok_or_else(wrong)?;
    let token = text[..at].parse().map_err(|_| wrong())?;
    let bias: f32 = text[at..].parse().map_err(|_| wrong())?;
    if bias.is_nan() { Err(wrong()) } else { Ok((token, bias)) }
}

/// A time: more than 0 seconds, at most an hour.
pub fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0 && *seconds <= 3600.0);
    seconds.ok_or_else(|| format!("{text:?} is no time: write seconds, above 0 and at most 3600"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds() {
        assert_eq!(seconds("2.5"), Ok(2.5));
        for wrong in ["0", "-1", "4000", "NaN", "soon"] {
            assert!(seconds(wrong).unwrap_err().contains(wrong));
        }
    }

    #[test]
    fn logit_biases_read_as_in_llama_cpp() {
        assert_eq!(logit_bias("15043+1"), Ok((15043, 1.0)));
        assert_eq!(logit_bias("7-inf"), Ok((7, f32::NEG_INFINITY)));
        assert!(
            logit_bias("7").is_err() && logit_bias("x+1").is_err() && logit_bias("7+x").is_err()
        );
    }

    #[test]
    fn shares_are_parts_of_a_whole() {
        assert_eq!(share("0.95"), Ok(0.95));
        for wrong in ["0", "1.5", "-1", "NaN", "most"] {
            assert!(share(wrong).unwrap_err().contains(wrong));
        }
    }
}

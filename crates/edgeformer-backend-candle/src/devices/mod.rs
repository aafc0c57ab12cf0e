//! Where candle can compute.

mod cpu;

#[cfg(feature = "cuda")]
#[path = "cuda_present.rs"]
mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "cuda_absent.rs"]
mod cuda;

#[cfg(feature = "metal")]
#[path = "metal_present.rs"]
mod metal;
#[cfg(not(feature = "metal"))]
#[path = "metal_absent.rs"]
mod metal;

use edgeformer_core::{Device, Result};

use crate::error::{first_line, problem};

/// A kind of device.
struct Kind {
    /// What its ids begin with.
    prefix: &'static str,
    /// The feature of this crate that brings it.
    feature: &'static str,
    /// What `auto` compares.
    score: u32,
    /// What a person calls it.
    description: &'static str,
    /// Opens the device of that number; `None` if the feature is not compiled in.
    open: Option<fn(usize) -> candle_core::Result<candle_core::Device>>,
    /// Devices that are looked for at most.
    most: usize,
}

const KINDS: [Kind; 2] = [cuda::KIND, metal::KIND];

/// The devices that open.
pub(crate) fn list() -> Vec<Device> {
    let mut devices = vec![cpu::describe()];
    for kind in &KINDS {
        let Some(open) = kind.open else { continue };
        let found = (0..kind.most).take_while(|&number| open(number).is_ok());
        devices.extend(found.map(|number| Device {
            id: format!("{}:{number}", kind.prefix),
            description: kind.description.into(),
            facts: Vec::new(),
            score: kind.score,
        }));
    }
    devices
}

/// Opens a device by its id: `cpu`, `cuda:N`, `metal:N`.
///
/// # Errors
/// If there is none of that id, and why.
pub(crate) fn open(id: &str) -> Result<candle_core::Device> {
    if id == cpu::ID {
        return Ok(candle_core::Device::Cpu);
    }
    let (prefix, number) = id.split_once(':').unwrap_or((id, "0"));
    let Some(kind) = KINDS.iter().find(|kind| kind.prefix == prefix) else {
        return Err(problem(format!("there is no device {id:?}: known are cpu, cuda:N, metal:N")));
    };
    let Some(open) = kind.open else {
        return Err(problem(format!(
            "device {id:?} needs a build with the feature \"candle-{}\"",
            kind.feature
        )));
    };
    let number =
        number.parse().ok().filter(|&number| number < kind.most).ok_or_else(|| {
            problem(format!("device {id:?}: {number:?} is no number of a device"))
        })?;
    open(number)
        .map_err(|error| problem(format!("device {id:?} does not open: {}", first_line(&error))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there_and_comes_last() {
        let devices = list();
        assert_eq!(devices[0].id, "cpu");
        assert!(devices[0].score < 100, "the CPU backend scores 100");
        assert!(open("cpu").is_ok());
    }

    #[test]
    fn a_device_that_is_none_is_refused() {
        insta::assert_snapshot!(
            open("tpu:0").unwrap_err(),
            @r#"backend "candle": there is no device "tpu:0": known are cpu, cuda:N, metal:N"#
        );
    }
}

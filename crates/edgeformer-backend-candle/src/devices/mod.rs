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

/// The devices of this build. Of a kind of which none opens the first is listed all the same:
/// [`open`] says why it cannot be used.
pub(crate) fn list() -> Vec<Device> {
    let mut devices = vec![cpu::describe()];
    KINDS.iter().for_each(|kind| devices.extend(kind.list()));
    devices
}

impl Kind {
    fn list(&self) -> Vec<Device> {
        let Some(open) = self.open else { return Vec::new() };
        let opening = (0..self.most).take_while(|&number| open(number).is_ok()).count();
        (0..opening.max(1)).map(|number| self.describe(number, opening > 0)).collect()
    }

    fn describe(&self, number: usize, opens: bool) -> Device {
        let but = if opens { "" } else { " that does not open" };
        Device {
            id: format!("{}:{number}", self.prefix),
            description: format!("{}{but}", self.description),
            facts: Vec::new(),
            score: self.score,
        }
    }

    fn open(&self, id: &str, number: &str) -> Result<candle_core::Device> {
        let Some(open) = self.open else {
            return Err(problem(format!(
                "device {id:?} needs a build with the feature \"candle-{}\"",
                self.feature
            )));
        };
        let number = number.parse().ok().filter(|&number| number < self.most).ok_or_else(|| {
            problem(format!("device {id:?}: {number:?} is no number of a device"))
        })?;
        open(number).map_err(|error| {
            problem(format!("device {id:?} does not open: {}", first_line(&error)))
        })
    }
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
    kind.open(id, number)
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
    fn a_kind_without_a_device_is_listed_and_says_why() {
        let open: fn(usize) -> _ = |number| match number {
            9 => Ok(candle_core::Device::Cpu),
            _ => Err(candle_core::Error::Msg("no driver\nand a backtrace".into())),
        };
        let kind = Kind {
            prefix: "gpu",
            feature: "gpu",
            score: 7,
            description: "a device",
            open: Some(open),
            most: 10,
        };
        let listed = kind.list();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].id, "gpu:0");
        assert_eq!(listed[0].description, "a device that does not open");
        insta::assert_snapshot!(
            kind.open("gpu:0", "0").unwrap_err(),
            @r#"backend "candle": device "gpu:0" does not open: no driver"#
        );
        insta::assert_snapshot!(
            kind.open("gpu:x", "x").unwrap_err(),
            @r#"backend "candle": device "gpu:x": "x" is no number of a device"#
        );
        assert!(kind.open("gpu:9", "9").is_ok());
        assert!(kind.open("gpu:10", "10").is_err());
    }

    #[test]
    fn a_device_that_is_none_is_refused() {
        insta::assert_snapshot!(
            open("tpu:0").unwrap_err(),
            @r#"backend "candle": there is no device "tpu:0": known are cpu, cuda:N, metal:N"#
        );
    }
}

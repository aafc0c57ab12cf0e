use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use candle_core::{Device, Tensor};

use crate::error::Result;

/// How much of a session's cache lies in the device's memory.
#[derive(Debug)]
pub(crate) struct Ledger {
    device: Device,
    /// Bytes that may stay on the device; `None` is no bound.
    allowance: Option<u64>,
    resident: AtomicU64,
    /// Bytes that are on the device for the layer that runs and the next one.
    visiting: AtomicU64,
    /// The most that both were together.
    most: AtomicU64,
    /// Bytes that were ever brought over.
    brought: AtomicU64,
}

/// What is on the device while it exists, though its place is the host.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    ledger: &'a Ledger,
    bytes: u64,
}

impl Ledger {
    /// `budget` counts everything of the cache that is on the device at a time; `visitors` of its
    /// bytes are kept free for what is brought over.
    pub fn new(device: Device, budget: Option<u64>, visitors: u64) -> Self {
        Self {
            device,
            allowance: budget.map(|budget| budget.saturating_sub(visitors)),
            resident: AtomicU64::new(0),
            visiting: AtomicU64::new(0),
            most: AtomicU64::new(0),
            brought: AtomicU64::new(0),
        }
    }

    /// Where the session computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Takes room on the device, if there is some left.
    pub fn claim(&self, bytes: u64) -> bool {
        let fits = |held: u64| {
            let sum = held.saturating_add(bytes);
            self.allowance.is_none_or(|allowance| sum <= allowance).then_some(sum)
        };
        let claimed = self.resident.fetch_update(Relaxed, Relaxed, fits).is_ok();
        if claimed {
            self.note();
        }
        claimed
    }

    /// Gives room back.
    pub fn release(&self, bytes: u64) {
        self.resident.fetch_sub(bytes, Relaxed);
    }

    /// Counts what is brought over for a layer.
    pub fn visit(&self, bytes: u64) -> Visit<'_> {
        self.visiting.fetch_add(bytes, Relaxed);
        self.brought.fetch_add(bytes, Relaxed);
        self.note();
        Visit { ledger: self, bytes }
    }

    fn note(&self) {
        let both = self.resident.load(Relaxed) + self.visiting.load(Relaxed);
        self.most.fetch_max(both, Relaxed);
    }

    /// Bytes that stay on the device.
    #[cfg(test)]
    pub fn resident(&self) -> u64 {
        self.resident.load(Relaxed)
    }

    /// The most bytes that ever were on the device at a time.
    #[cfg(test)]
    pub fn most(&self) -> u64 {
        self.most.load(Relaxed)
    }

    /// Bytes that were ever brought over.
    #[cfg(test)]
    pub fn brought(&self) -> u64 {
        self.brought.load(Relaxed)
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.ledger.visiting.fetch_sub(self.bytes, Relaxed);
    }
}

/// The same values in memory of that device that nothing else uses: on the processor, whose
/// memory is the host's, too.
pub(super) fn copied(tensor: &Tensor, device: &Device) -> Result<Tensor> {
    let tensor = tensor.contiguous()?;
    Ok(match tensor.device().same_device(device) {
        true => tensor.copy()?,
        false => tensor.to_device(device)?,
    })
}

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use edgeformer_core::CacheFormat;

use super::ledger::Ledger;
use crate::error::Result;

/// The keys or the values of a slot: `[heads, capacity, dim]`.
#[derive(Debug)]
pub(super) struct Block {
    tensor: Tensor,
    bytes: u64,
    resident: bool,
    ledger: Arc<Ledger>,
}

/// How the keys or the values of a slot look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Side {
    pub heads: usize,
    pub dim: usize,
    pub dtype: DType,
}

impl Side {
    pub fn new(heads: usize, dim: usize, format: CacheFormat) -> Self {
        let dtype = if format == CacheFormat::F16 { DType::F16 } else { DType::F32 };
        Self { heads, dim, dtype }
    }

    /// Bytes of so many tokens.
    pub fn bytes(&self, tokens: usize) -> u64 {
        (self.heads * self.dim * self.dtype.size_in_bytes()) as u64 * tokens as u64
    }
}

impl Block {
    /// Room for so many tokens: on the device if it has some, else on the host.
    pub fn new(side: Side, capacity: usize, ledger: &Arc<Ledger>) -> Result<Self> {
        let bytes = side.bytes(capacity);
        let resident = ledger.claim(bytes);
        let device = if resident { ledger.device() } else { &Device::Cpu };
        match Tensor::zeros((side.heads, capacity, side.dim), side.dtype, device) {
            Ok(tensor) => Ok(Self { tensor, bytes, resident, ledger: ledger.clone() }),
            Err(error) => {
                if resident {
                    ledger.release(bytes);
                }
                Err(error.into())
            }
        }
    }

    /// Tokens that it has room for.
    pub fn capacity(&self) -> usize {
        self.tensor.dims()[1]
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn resident(&self) -> bool {
        self.resident
    }

    /// The first `len` tokens, `[heads, len, dim]`: a view.
    pub fn first(&self, len: usize) -> Result<Tensor> {
        Ok(self.tensor.narrow(1, 0, len)?)
    }

    /// Writes rows `[heads, tokens, dim]` from token `at` on. Nobody else may hold the block.
    pub fn set(&mut self, rows: &Tensor, at: usize) -> Result<()> {
        let rows = rows.to_dtype(self.tensor.dtype())?.to_device(self.tensor.device())?;
        Ok(self.tensor.slice_set(&rows.contiguous()?, 1, at)?)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.resident {
            self.ledger.release(self.bytes);
        }
    }
}

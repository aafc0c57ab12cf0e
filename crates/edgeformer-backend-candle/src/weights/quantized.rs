use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, Layout, MetalStorage, Result, Shape, Tensor,
};

/// The product with a quantized matrix. Candle's own has no gradient: this one passes it on to
/// the activations, so that what lies below a frozen quantized weight can be trained.
#[derive(Debug)]
pub(super) struct Quantized(pub Arc<QTensor>);

impl CustomOp1 for Quantized {
    fn name(&self) -> &'static str {
        "quantized-product"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.0.cpu_fwd(storage, layout)
    }

    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        self.0.cuda_fwd(storage, layout)
    }

    fn metal_fwd(&self, storage: &MetalStorage, layout: &Layout) -> Result<(MetalStorage, Shape)> {
        self.0.metal_fwd(storage, layout)
    }

    fn bwd(&self, _arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let matrix = self.0.dequantize(grad.device())?;
        Ok(Some(grad.contiguous()?.matmul(&matrix)?))
    }
}

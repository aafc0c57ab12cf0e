use super::Kind;

pub(super) const KIND: Kind = Kind {
    prefix: "cuda",
    feature: "cuda",
    score: 300,
    description: "an NVIDIA device",
    open: Some(candle_core::Device::new_cuda),
    most: 16,
};

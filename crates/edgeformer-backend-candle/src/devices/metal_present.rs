use super::Kind;

pub(super) const KIND: Kind = Kind {
    prefix: "metal",
    feature: "metal",
    score: 200,
    description: "an Apple device",
    open: Some(candle_core::Device::new_metal),
    most: 1,
};

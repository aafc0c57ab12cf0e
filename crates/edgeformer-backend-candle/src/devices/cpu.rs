use edgeformer_core::Device;

/// The id of the one CPU.
pub(super) const ID: &str = "cpu";

/// Below what the CPU backend scores: its kernels are faster.
const SCORE: u32 = 50;

pub(super) fn describe() -> Device {
    let threads = candle_core::utils::get_num_threads();
    let threads = format!("{threads} (candle's own choice, or RAYON_NUM_THREADS)");
    Device {
        id: ID.into(),
        description: "candle's kernels on the processor".into(),
        facts: vec![("threads".into(), threads)],
        score: SCORE,
    }
}

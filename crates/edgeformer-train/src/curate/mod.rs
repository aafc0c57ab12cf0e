//! Choosing few records that teach much, out of many.
//!
//! A handful of examples suffices where the model knows the matter already, if they are right, hard
//! enough, well reasoned and unlike each other (Ye et al. 2025, "LIMO: Less is More for Reasoning",
//! arXiv 2502.03387). Each stage drops records and says why; all are optional.
//!
//! - `options`: what is asked for; `pipeline`: stage after stage; `ledger`: what became of each
//!   record, `reason`: why it was dropped
//! - `validity`, `duplicates` (over `minhash`, `banding`), `contamination`: what nobody should learn
//! - `judge`: a model that looks at records; `difficulty`: how hard they are for it
//! - `quality`: how a chain of reasoning is written, by the words of `cues`
//! - `diversity`: which of the rest to keep, within `quota`s
//! - `report`: what became of every line, for programs and for people
//! - `words`: texts as words

mod banding;
mod contamination;
mod cues;
mod difficulty;
mod diversity;
mod duplicates;
mod judge;
mod ledger;
mod minhash;
mod options;
mod pipeline;
mod quality;
mod quota;
mod reason;
mod report;
mod validity;
mod words;

#[cfg(test)]
mod tests;

pub use banding::Banding;
pub use contamination::{Evaluation, Overlap};
pub use difficulty::{Check, Conclusion, Solved};
pub use diversity::{Picked, Picking, Refusal, best, facility_location, k_center};
pub use duplicates::{Compared, Duplicate, Duplicates, duplicates};
pub use judge::{Embedder, Judge, Models, Watch};
pub use ledger::{Scores, Verdict};
pub use minhash::{MinHasher, PERMUTATIONS, Signature, jaccard};
pub use options::{Band, Method, Options, Rank, Selection};
pub use pipeline::{Curated, Stage, curate};
pub use quality::{Chain, Weights};
pub use quota::{GroupBy, Quota};
pub use reason::{Part, Reason};
pub use report::{html, jsonl};
pub use validity::Validity;

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::{chart, findings};
use crate::output::{Report, Table, short};
use crate::subject::ModelRecord;
use crate::{Machine, Result};

/// Perplexity against bytes of cache, of models whose attention was converted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConversionCurves {
    /// On what it was measured.
    pub machine: Machine,
    /// What was called.
    pub command: String,
    /// One curve a model.
    pub models: Vec<ModelCurve>,
}

/// What conversions do to a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCurve {
    /// The model before.
    pub model: ModelRecord,
    /// The text that was calibrated with.
    pub calibrated_with: String,
    /// The text that was measured on; `None` is every eighth window of the other one, which was
    /// left out there.
    pub measured_on: Option<String>,
    /// Tokens that were scored.
    pub tokens: u64,
    /// Tokens of a window.
    pub window: usize,
    /// Perplexity before.
    pub perplexity: f64,
    /// Its standard error.
    pub perplexity_error: f64,
    /// Bytes of cache that a token took, in f16.
    pub cache_bytes: usize,
    /// To latent attention.
    pub latents: Vec<LatentPoint>,
    /// To fewer key-value heads.
    pub groups: Vec<GroupPoint>,
}

/// Perplexity of a model with latents of one size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LatentPoint {
    /// Columns that keep their rotation.
    pub rope_dims: usize,
    /// Width of the latent.
    pub rank: usize,
    /// Width that holds all of keys and values beside those columns.
    pub full_rank: usize,
    /// Bytes of cache that a token takes, in f16.
    pub cache_bytes: usize,
    /// By the plain decomposition of the weights.
    pub plain: f64,
    /// Errors weighed by what the weights say of queries and outputs.
    pub by_weights: f64,
    /// Errors weighed by what was calibrated too.
    pub calibrated: f64,
}

/// Perplexity of a model with so many key-value heads, calibrated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GroupPoint {
    /// Key-value heads.
    pub groups: usize,
    /// Bytes of cache that a token takes, in f16.
    pub cache_bytes: usize,
    /// Neighbours averaged as they are.
    pub plain: f64,
    /// Heads turned towards their mean first.
    pub procrustes: f64,
    /// Projected onto what they have most of in common.
    pub principal: f64,
}

impl ModelCurve {
    fn to_markdown(&self) -> String {
        let texts = match &self.measured_on {
            Some(text) => format!("Calibrated with {}, measured on {text}", self.calibrated_with),
            None => format!(
                "Calibrated with {}, measured on every eighth window of it, which was held out",
                self.calibrated_with
            ),
        };
        let mut text = format!("**{}**\n\n", self.model.to_line());
        writeln!(
            text,
            "{texts}: {} tokens scored in windows of {}. Before: perplexity {:.3} ± {:.3}, {} bytes \
             of cache a token.\n",
            self.tokens, self.window, self.perplexity, self.perplexity_error, self.cache_bytes
        )
        .expect("a string takes what it is given");
        text + &self.latent_table().to_markdown()
            + "\n"
            + &self.group_table().to_markdown()
            + "\n"
            + &findings::latents(self)
            + &findings::groups(self)
    }

    fn latent_table(&self) -> Table {
        let mut table = Table::new([
            "latent + rotated",
            "rank",
            "bytes a token",
            "cache",
            "plain SVD",
            "weighted by weights",
            "weighted, calibrated",
            "which costs",
        ]);
        for point in &self.latents {
            table.row([
                format!("{} + {}", point.rank, point.rope_dims),
                format!("{:.0} %", 100.0 * point.rank as f64 / point.full_rank.max(1) as f64),
                point.cache_bytes.to_string(),
                self.share(point.cache_bytes),
                shown(point.plain),
                shown(point.by_weights),
                shown(point.calibrated),
                self.change(point.calibrated),
            ]);
        }
        table
    }

    fn group_table(&self) -> Table {
        let mut table = Table::new([
            "key-value heads",
            "bytes a token",
            "cache",
            "averaged",
            "procrustes",
            "principal",
            "which costs",
        ]);
        for point in &self.groups {
            table.row([
                point.groups.to_string(),
                point.cache_bytes.to_string(),
                self.share(point.cache_bytes),
                shown(point.plain),
                shown(point.procrustes),
                shown(point.principal),
                self.change(point.principal),
            ]);
        }
        table
    }

    fn share(&self, bytes: usize) -> String {
        format!("{:.0} %", 100.0 * bytes as f64 / self.cache_bytes.max(1) as f64)
    }

    fn change(&self, perplexity: f64) -> String {
        format!("{:+.1} %", 100.0 * (perplexity / self.perplexity - 1.0))
    }
}

fn shown(perplexity: f64) -> String {
    if perplexity < 1000.0 { format!("{perplexity:.3}") } else { short(perplexity) }
}

impl Report for ConversionCurves {
    fn name(&self) -> &'static str {
        "conversion"
    }

    fn to_markdown(&self) -> String {
        let mut text = format!("{}\n\n`{}`\n", self.machine.to_line(), self.command);
        for model in &self.models {
            text += "\n";
            text += &model.to_markdown();
        }
        text
    }

    fn to_png(&self) -> Result<Vec<u8>> {
        chart::curves(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latents(rope_dims: usize, rank: usize, [plain, calibrated]: [f64; 2]) -> LatentPoint {
        let cache_bytes = 10 * (rank + rope_dims);
        let by_weights = f64::midpoint(plain, calibrated);
        LatentPoint { rope_dims, rank, full_rank: 32, cache_bytes, plain, by_weights, calibrated }
    }

    #[test]
    fn plain_conversions_stand_beside_the_others_and_losers_are_named() {
        let report = ConversionCurves {
            machine: Machine::made_up(),
            command: "cargo xtask bench conversion".into(),
            models: vec![ModelCurve {
                model: ModelRecord::made_up(),
                calibrated_with: "texts/some".into(),
                measured_on: None,
                tokens: 1000,
                window: 512,
                perplexity: 8.0,
                perplexity_error: 0.1,
                cache_bytes: 640,
                latents: vec![
                    latents(32, 32, [8.0, 8.0]),
                    latents(32, 16, [1234.5, 9.0]),
                    latents(32, 8, [12.0, 12.5]),
                ],
                groups: vec![GroupPoint {
                    groups: 2,
                    cache_bytes: 320,
                    plain: 40.0,
                    procrustes: 20.0,
                    principal: 10.0,
                }],
            }],
        };
        insta::assert_snapshot!(report.to_markdown());
        let image = image::load_from_memory(&report.to_png().unwrap()).unwrap();
        assert_eq!((image.width(), image.height()), (960, 540));
    }
}

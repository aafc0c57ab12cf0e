use edgeformer::tuning::{Bench, Meter, Setup};
use edgeformer_core::CacheFormat;
use serde::{Deserialize, Serialize};

use crate::{Progress, Result, Spread};

/// Chunks of the sweep.
const CHUNKS: [usize; 4] = [512, 256, 128, 64];

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Single tokens behind others.
    Decode {
        /// So many.
        tokens: usize,
        /// Behind so many.
        depth: usize,
    },
    /// A prompt.
    Prefill {
        /// Of so many tokens.
        tokens: usize,
    },
}

impl Kind {
    /// What a table calls it.
    pub fn name(self) -> String {
        match self {
            Self::Decode { tokens, depth } => format!("tg{tokens} @ {depth}"),
            Self::Prefill { tokens } => format!("pp{tokens}"),
        }
    }

    /// Every setup that matters to single tokens: threads and cache formats, and the usual one with
    /// weights in place.
    pub fn decode_setups(usual: &Setup, tuned: &Setup) -> Vec<Setup> {
        let all = threads().flat_map(|threads| {
            [CacheFormat::F16, CacheFormat::F32].map(|cache_type| Setup {
                threads,
                cache_type,
                ..*usual
            })
        });
        let in_place = Setup { repack: false, ..*usual };
        distinct([*usual, *tuned].into_iter().chain(all).chain([in_place]), |setup| {
            (setup.threads, setup.cache_type.name(), setup.repack)
        })
    }

    /// Every setup that matters to prompts of so many tokens: threads and chunks, and the usual one
    /// with weights in place.
    pub fn prefill_setups(usual: &Setup, tuned: &Setup, prompt: usize) -> Vec<Setup> {
        let chunks = CHUNKS.into_iter().filter(|&chunk| chunk <= prompt);
        let all = chunks.flat_map(|chunk| {
            threads().map(move |threads_batch| Setup { threads_batch, chunk, ..*usual })
        });
        let in_place = Setup { repack: false, ..*usual };
        distinct([*usual, *tuned].into_iter().chain(all).chain([in_place]), |setup| {
            let chunk = setup.chunk.min(prompt);
            (setup.threads_batch, setup.latent_form.name(), chunk, setup.repack)
        })
    }

    fn tokens(self) -> usize {
        match self {
            Self::Decode { tokens, .. } | Self::Prefill { tokens } => tokens,
        }
    }

    fn time(self, bench: &mut Bench) -> Result<f64> {
        let time = match self {
            Self::Decode { tokens, depth } => bench.decode(depth, tokens)?,
            Self::Prefill { tokens } => bench.prefill(tokens)?,
        };
        Ok(time.as_secs_f64())
    }

    fn label(self, setup: &Setup) -> String {
        let packing = if setup.repack { "" } else { ", weights in place" };
        match self {
            Self::Decode { .. } => {
                format!("{} threads, cache {}{packing}", setup.threads, setup.cache_type.name())
            }
            Self::Prefill { .. } => {
                format!("{} threads, chunk {}{packing}", setup.threads_batch, setup.chunk)
            }
        }
    }
}

fn threads() -> impl Iterator<Item = usize> + Clone {
    1..=edgeformer::available_cores()
}

/// The first of those that make no difference here.
fn distinct<K: PartialEq>(
    setups: impl Iterator<Item = Setup>,
    key: impl Fn(&Setup) -> K,
) -> Vec<Setup> {
    let mut kept: Vec<Setup> = Vec::new();
    for setup in setups {
        if kept.iter().all(|known| key(known) != key(&setup)) {
            kept.push(setup);
        }
    }
    kept
}

/// All setups of one kind of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The work.
    pub kind: Kind,
    /// The setups, the usual one first.
    pub setups: Vec<SetupFigures>,
}

/// A setup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetupFigures {
    /// What a table calls it.
    pub label: String,
    /// The setup.
    pub setup: Setup,
    /// Whether it is the usual one.
    pub usual: bool,
    /// Whether it is the one that tuning chose.
    pub tuned: bool,
    /// Tokens a second.
    pub tokens_per_second: Spread,
}

impl Figures {
    /// Times setups in turns. `marked` are the usual setup and the tuned one.
    ///
    /// # Errors
    /// If a setup is refused or a step fails.
    pub fn measure(
        meter: &Meter,
        kind: Kind,
        setups: Vec<Setup>,
        marked: (Setup, Setup),
        rounds: usize,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<Self> {
        let mut benches =
            setups.iter().map(|setup| Ok(meter.bench(setup)?)).collect::<Result<Vec<_>>>()?;
        let total = (rounds + 1) * benches.len();
        let mut rates = vec![Vec::new(); benches.len()];
        // The first round warms caches and threads, and does not count.
        for round in 0..=rounds {
            for (index, bench) in benches.iter_mut().enumerate() {
                let what = kind.label(&setups[index]);
                progress(Progress { done: round * setups.len() + index, total, what: &what });
                let seconds = kind.time(bench)?;
                if round > 0 {
                    rates[index].push(kind.tokens() as f64 / seconds);
                }
            }
        }
        // Among these setups a marked one is the first that does not differ in what matters.
        let same = |setup: &Setup, of: &Setup| kind.label(setup) == kind.label(of);
        let figures = setups.iter().zip(&rates).filter_map(|(setup, rates)| {
            Some(SetupFigures {
                label: kind.label(setup),
                setup: *setup,
                usual: same(setup, &marked.0),
                tuned: same(setup, &marked.1),
                tokens_per_second: Spread::of(rates)?,
            })
        });
        Ok(Self { kind, setups: figures.collect() })
    }

    /// The most tokens a second, by medians.
    pub fn best(&self) -> f64 {
        self.setups.iter().map(|setup| setup.tokens_per_second.median).fold(0.0, f64::max)
    }

    /// Tokens a second of the setup that `marked` says, relative to the best.
    pub fn share_of_best(&self, marked: impl Fn(&SetupFigures) -> bool) -> Option<f64> {
        let found = self.setups.iter().find(|setup| marked(setup))?;
        Some(found.tokens_per_second.median / self.best())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use edgeformer_core::LatentForm;

    fn usual() -> Setup {
        Setup {
            threads: 2,
            threads_batch: 2,
            repack: true,
            chunk: 512,
            cache_type: CacheFormat::F16,
            latent_form: LatentForm::Auto,
        }
    }

    #[test]
    fn sweeps_hold_the_usual_setup_first_and_nothing_twice() {
        let tuned = Setup { threads: 1, chunk: 128, ..usual() };
        let decode = Kind::decode_setups(&usual(), &tuned);
        assert_eq!(decode[0], usual());
        assert!(decode.contains(&tuned) || decode.iter().any(|setup| setup.threads == 1));
        let prefill = Kind::prefill_setups(&usual(), &tuned, 512);
        assert_eq!((prefill[0].chunk, prefill[1].chunk), (512, 128));
        let labels: std::collections::BTreeSet<String> =
            prefill.iter().map(|setup| Kind::Prefill { tokens: 512 }.label(setup)).collect();
        assert_eq!(labels.len(), prefill.len());
    }
}

//! What a step takes more through the interface of plugins than without it.
//!
//! ```text
//! cargo build --release -p edgeformer-plugin --example idle_plugin
//! cargo bench -p edgeformer-plugin --bench step
//! ```

mod idle;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use edgeformer_core::graph::{GraphBuilder, GraphInput, OutputKind};
use edgeformer_core::{
    Backend, CompileOptions, Input, Model, Outputs, SequenceId, Session, SessionOptions, Span,
    Step, Tensor, Want, Weight, Weights,
};
use edgeformer_plugin::host::load;

/// Steps of a turn: long against the clock.
const STEPS: u32 = 20_000;
/// Turns of each: their median is told.
const TURNS: usize = 41;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let plugin = plugin()?;
    println!("a step of one token, ns, medians of {TURNS} turns of {STEPS} steps");
    println!("{:>12} {:>10} {:>10} {:>12}", "output row", "direct", "plugin", "difference");
    for width in [1, 4096, 32_000, 151_936] {
        let mut direct = open(&idle::Idle, width)?;
        let mut through = open(&plugin, width)?;
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..TURNS {
            times[0].push(turn(direct.as_mut())?);
            times[1].push(turn(through.as_mut())?);
        }
        let [direct, through] = times.map(median);
        let difference = through - direct;
        println!("{width:>12} {direct:>10.0} {through:>10.0} {difference:>12.0}");
    }
    Ok(())
}

/// The plugin, where `cargo build --example` has put it.
fn plugin() -> Result<impl Backend, Failure> {
    let this = std::env::current_exe()?;
    let release = this.parent().and_then(|deps| deps.parent()).ok_or("it lies nowhere")?;
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let file: PathBuf = release.join("examples").join(format!("{prefix}idle_plugin{suffix}"));
    // SAFETY: it was built from this crate.
    Ok(unsafe { load(&file, &[]) }?)
}

fn open(backend: &dyn Backend, width: usize) -> Result<Box<dyn Session>, Failure> {
    let mut b = GraphBuilder::new("idle", GraphInput::Tokens { vocabulary: 1, context: 1 });
    let x = b.embed("table", width, 1.0)?;
    let graph = b.finish(OutputKind::HiddenStates, x)?;
    let mut weights = Weights::default();
    weights.insert("table", Weight::whole(Tensor::from_f32([1, width], &vec![0.0; width])?));
    let model = Arc::new(Model { graph, weights });
    let program = backend.compile(model, &CompileOptions::default())?;
    Ok(program.open(&SessionOptions::default())?)
}

/// Nanoseconds of a step.
fn turn(session: &mut dyn Session) -> Result<f64, Failure> {
    let mut outputs = Outputs::default();
    let span = Span { sequence: SequenceId(0), input: Input::Tokens(&[0]), want: Want::Last };
    let start = Instant::now();
    for _ in 0..STEPS {
        session.run(&Step { spans: &[span] }, &mut outputs)?;
    }
    Ok(start.elapsed().as_nanos() as f64 / f64::from(STEPS))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

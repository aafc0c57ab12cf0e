//! Finds AMD GPUs, step by step, each of which says what it misses:
//!
//! | step | reads | without ROCm |
//! |---|---|---|
//! | `access` | whether there is a GPU, its driver, the right to use it | yes |
//! | `topology` | the driver's nodes: instruction set, memory, slot | yes |
//! | `hip` | ROCm's libraries, loaded while running: names, memory, what this process may use | no |

mod access;
mod hip;
mod pci;
mod places;
mod problem;
mod read;
mod topology;

pub(crate) use hip::migraphx;
pub use places::Places;
pub(crate) use problem::Problem;

use hip::{Hip, HipGpu};
use topology::{Gpu, Topology};

/// A GPU that this process may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// HIP's number, which is ONNX Runtime's.
    pub number: usize,
    /// What a person calls it.
    pub name: String,
    /// The instruction set, for example `gfx1100`.
    pub gfx: Option<String>,
    /// Bytes of its memory.
    pub memory: Option<u64>,
    /// Where it is plugged in.
    pub slot: Option<String>,
    /// Version of the driver, where it has one.
    pub driver: Option<String>,
    /// Version of HIP.
    pub hip: String,
}

/// The GPUs that this process may use, at least one.
///
/// # Errors
/// The first piece that is missing.
pub(crate) fn gpus(places: &Places) -> Result<Vec<Found>, Problem> {
    access::check_driver(&places.sysfs)?;
    let topology = topology::read(&places.sysfs)?;
    check_nodes(&topology, places)?;
    access::check_device_file(places)?;
    let hip = hip::hip(&places.libraries)?;
    if hip.gpus.is_empty() {
        let sets: Vec<_> = topology.gpus.iter().filter_map(|gpu| gpu.gfx.as_deref()).collect();
        let gfx = if sets.is_empty() { "the GPU".into() } else { sets.join(", ") };
        return Err(Problem::NoneUsable { version: hip.version, gpus: topology.gpus.len(), gfx });
    }
    Ok(join(topology.gpus, hip, access::driver_version(&places.sysfs)))
}

fn check_nodes(topology: &Topology, places: &Places) -> Result<(), Problem> {
    let path = topology::nodes_folder(&places.sysfs);
    match (topology.gpus.len(), topology.hidden) {
        (1.., _) => Ok(()),
        (0, 0) => Err(Problem::NoGpuNode { path }),
        (0, hidden) => Err(Problem::Hidden { hidden, path }),
    }
}

/// HIP's GPUs with what the driver says of those in the same slots. HIP may be told to leave some
/// out, or to count them in another order: numbers are HIP's.
fn join(nodes: Vec<Gpu>, hip: Hip, driver: Option<String>) -> Vec<Found> {
    let Hip { version, gpus } = hip;
    let alone = nodes.len() == 1 && gpus.len() == 1;
    let found = |(number, HipGpu { name, memory, slot }): (usize, HipGpu)| {
        let node = nodes.iter().find(|node| alone || slot.as_ref() == Some(&node.slot));
        let known = [Some(name), node.map(|node| node.name.clone())].into_iter().flatten();
        let of_its_own = node.map(|node| node.memory).filter(|bytes| *bytes > 0);
        Found {
            number,
            name: known.into_iter().find(|name| !name.is_empty()).unwrap_or("AMD GPU".into()),
            gfx: node.and_then(|node| node.gfx.clone()),
            memory: memory.or(of_its_own),
            slot: slot.or_else(|| node.map(|node| node.slot.clone())),
            driver: driver.clone(),
            hip: version.clone(),
        }
    };
    gpus.into_iter().enumerate().map(found).collect()
}

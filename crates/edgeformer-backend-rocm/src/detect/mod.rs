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

pub(crate) use hip::{Needed, load_needed};
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
    /// PCI's number of the kind of device.
    pub device_id: Option<u16>,
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
            device_id: node.map(|node| node.device_id),
            slot: slot.or_else(|| node.map(|node| node.slot.clone())),
            driver: driver.clone(),
            hip: version.clone(),
        }
    };
    gpus.into_iter().enumerate().map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(node: u32, slot: &str, memory: u64) -> Gpu {
        Gpu {
            name: format!("chip{node}"),
            gfx: Some(format!("gfx90{node}")),
            device_id: 0x744c,
            memory,
            slot: slot.into(),
        }
    }

    fn hip(gpus: Vec<HipGpu>) -> Hip {
        Hip { version: "7.2.0".into(), gpus }
    }

    #[test]
    fn what_hip_does_not_say_the_driver_does() {
        let found = join(vec![node(1, "a", 8)], hip(vec![HipGpu::default()]), None);
        assert_eq!(found[0].name, "chip1");
        assert_eq!(found[0].gfx.as_deref(), Some("gfx901"));
        assert_eq!((found[0].memory, found[0].slot.as_deref()), (Some(8), Some("a")));
    }

    #[test]
    fn numbers_are_hips_and_slots_tell_who_is_who() {
        let in_slot = |slot: &str| HipGpu { slot: Some(slot.into()), ..HipGpu::default() };
        let nodes = vec![node(1, "a", 8), node(2, "b", 0), node(3, "c", 0)];
        let found = join(nodes, hip(vec![in_slot("c"), in_slot("a"), in_slot("x")]), None);
        let names: Vec<_> = found.iter().map(|gpu| (gpu.number, gpu.name.as_str())).collect();
        assert_eq!(names, [(0, "chip3"), (1, "chip1"), (2, "AMD GPU")]);
        assert_eq!(found[0].memory, None);
        assert_eq!(found[2].gfx, None);
    }
}
